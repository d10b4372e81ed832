"""The templates of ComfyUI 0.33's browser, what its server has, and what that server said about them."""

from __future__ import annotations

import gzip
import os
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec
from msgspec import Struct

from app.ports import Json
from app.workflows.editor_format.convert import Converted, convert
from app.workflows.editor_format.parser import is_editor_file
from app.workflows.nodes.definitions import Definitions

DATA = Path(__file__).parent.parent / "data"
FOLDER = files("comfyui_workflow_templates_json") / "templates"

EVERY = 1 if os.environ.get("CI") else 9
"""Only every ninth template is tested where `CI` is not set; the numbers of all are asserted there."""

FOREIGN = frozenset(
    {
        "template_rob_realistic_2k_images_quick_variations",
        "templates_mjm_looped_restyler",
        "templates_rob_realistic_2k_images_quick_variations.app",
    }
)
"""Templates with nodes that ComfyUI itself does not have."""


class Verdicts(Struct, frozen=True, kw_only=True):
    """What the real server said: the errors of each template as (class, input, error), and which had none."""

    errors: dict[str, list[tuple[str, str, str]]]
    accepted: list[str]


@cache
def verdicts() -> Verdicts:
    return msgspec.json.decode((DATA / "workflows" / "verdicts_0.33.json").read_bytes(), type=Verdicts)


@cache
def object_info() -> dict[str, Json]:
    content = gzip.decompress((DATA / "nodes" / "object_info_0.33.json.gz").read_bytes())
    return msgspec.json.decode(content, type=dict[str, Json])


@cache
def definitions() -> Definitions:
    return Definitions(object_info())


def read(name: str) -> Json:
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=Json)


@cache
def converted(name: str) -> Converted:
    return convert(read(name), definitions())


@cache
def every_template() -> tuple[str, ...]:
    """The names of all templates; the package has translations of its index, too, which are no workflows."""
    names = sorted(entry.name.removesuffix(".json") for entry in FOLDER.iterdir() if entry.name.endswith(".json"))
    return tuple(name for name in names if not name.startswith("index") and is_editor_file(read(name)))


def sample() -> tuple[str, ...]:
    """The templates to test in this run."""
    return every_template()[::EVERY]


def convertible() -> tuple[str, ...]:
    """The templates to test in this run that need only ComfyUI's own nodes."""
    return tuple(name for name in sample() if name not in FOREIGN)
