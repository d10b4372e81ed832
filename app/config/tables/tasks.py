"""The settings of what people ask for by task: the model that nobody chose, and presets for any model."""

from __future__ import annotations

import re

from msgspec.structs import fields

from app.config.settings import FORMATS, DefaultModels, Preset
from app.config.toml_table import Table, short

LONGEST_PRESET = 32
"""Characters of a preset's name."""

LONGEST_ADDITION = 1000
"""Characters of what is added to a prompt: a form of Discord has room for 4,000 in all."""

PRESET_NAME = re.compile(r"[a-z0-9_-]{1,32}")


def read_default_models(table: Table) -> DefaultModels:
    """The settings in `[tasks]`. Raises `ConfigError`."""
    table.check_keys(DefaultModels.__struct_fields__)
    return DefaultModels(**{field.name: table.shown_text(field.name, "") for field in fields(DefaultModels)})


def read_presets(table: Table) -> dict[str, Preset]:
    """The presets in `[presets]`, by name. Raises `ConfigError`."""
    presets: dict[str, Preset] = {}
    for name in table.values():
        if not PRESET_NAME.fullmatch(name):
            rule = f"use a-z, 0-9, - and _, at most {LONGEST_PRESET} characters"
            raise table.error(name, f"“{short(name)}” cannot be the name of a preset: {rule}.")
        presets[name] = _preset(table.table(name))
    return presets


def _preset(table: Table) -> Preset:
    table.check_keys(Preset.__struct_fields__)
    wanted = table.text("format", "")
    if wanted and wanted not in FORMATS:
        raise table.error("format", f"“format” must be one of {', '.join(FORMATS)}.")
    values = table.table("values").values()
    plain: dict[str, str | int | float | bool] = {}
    for key, value in values.items():
        if not isinstance(value, (str, int, float, bool)):
            raise table.table("values").error(key, f"“{short(key)}” must be a text, a number, or true or false.")
        plain[key] = value
    return Preset(suffix=_addition(table, "suffix"), negative=_addition(table, "negative"), format=wanted, values=plain)


def _addition(table: Table, key: str) -> str:
    if len(text := table.text(key, "")) > LONGEST_ADDITION:
        raise table.error(key, f"“{key}” must have at most {LONGEST_ADDITION} characters.")
    return text
