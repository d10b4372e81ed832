"""`python -m tests.reference` writes docs/CONFIGURATION.md, every key of atelier.toml, and docs/REASONS.md.

The keys and defaults come from the structs that the file is read into, the sentences and further values from the
comments of `atelier.example.toml`; the reasons come from `app.reasons`. `tests/test_reference.py` fails while one
of the documents differs.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path
from typing import get_args

import msgspec
from msgspec import Struct

from app.config.settings import (
    AlertTargets,
    Allowed,
    BackupSettings,
    Budget,
    Config,
    DefaultModels,
    Discord,
    Http,
    Limits,
    Log,
    Page,
    Power,
    Preset,
    Retention,
    RoleLimits,
    Server,
)
from app.config.tables.worker import EngineTable, WorkerTable
from app.reasons.jobs import JobReason
from app.reasons.limits import LimitReason

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "atelier.example.toml"
DOCUMENT = ROOT / "docs" / "CONFIGURATION.md"
REASONS = ROOT / "docs" / "REASONS.md"

TABLES: dict[str, type[Struct]] = {
    "": Config,
    "servers": Server,
    "discord": Discord,
    "tasks": DefaultModels,
    "presets.harbour": Preset,
    "alerts": AlertTargets,
    "limits": Limits,
    "limits.roles": RoleLimits,
    "limits.channels": Allowed,
    "limits.guilds": Allowed,
    "paid_nodes": Budget,
    "retention": Retention,
    "backup": BackupSettings,
    "http": Http,
    "page": Page,
    "log": Log,
    "engine": EngineTable,
    "worker": WorkerTable,
}
"""The struct that each table of the file is read into."""

ALSO: dict[str, tuple[type[Struct], ...]] = {"servers": (Power,)}
"""Further structs that keys of a table are read into."""

ENVIRONMENT = {
    "DISCORD_TOKEN": "The bot's token. It belongs here and not into `atelier.toml`.",
    "COMFYUI_API_KEY": "The key of platform.comfy.org that pays for API nodes. It does not belong into the file.",
    "COMFYUI_URL": "Servers by address, or by their name in the file, with commas between them; only these are used.",
    "ATELIER_CONFIG": "Another file than `atelier.toml` in the current folder.",
    "ATELIER_DATA": "The folder of the journal and the results, as `data`. A relative path starts where you are.",
    "ATELIER_WORKFLOWS": "The folder of your own workflows, as `workflows`. A relative path starts where you are.",
    "ATELIER_HTTP": "Where the bot answers about its health, as `listen` in `[http]`: host and port.",
    "ATELIER_CLIENT_SECRET": "The secret of the Discord application, as `client_secret` in `[page]`.",
    "ATELIER_ENGINE": "The engine's address, as `url` in `[engine]`.",
    "ATELIER_ENGINE_PASSWORD": "The password for the engine. It does not belong into the file.",
    "ATELIER_LOG": "How the log is written, as `format` in `[log]`.",
    "DISCORD_REST_URL": "Where Discord is, for tests, as `rest_url`.",
}
"""Variables of the environment and of `.env`, except that of the tests (`app.journal.access.crash_points`)."""

SETTING = re.compile(r"(?P<comment># )?(?P<key>\w+) = (?P<value>.+)")
HEADING = re.compile(r"\[{1,2}(?P<table>[\w.]+)\]{1,2}")

INTRODUCTION = """\
# Every setting

`atelier.toml` is read from the current folder, or from where `ATELIER_CONFIG` says. Every key is optional, except those
marked “Required” in a table that you write. `atelier doctor` says what is wrong with the file, and in which line.
[atelier.example.toml](../atelier.example.toml) is the same list as a file to copy.

If a setting is in several places, the first of these counts: the command line, the environment, a `.env` file in the
current folder, `atelier.toml`.

<!-- `python -m tests.reference` writes this page from the comments of the example and the structs in app/config. -->
"""


class Setting(Struct):
    """A key as the example shows it: its comment, and all values that it shows, the first one first."""

    table: str
    key: str
    comment: str
    values: list[str]


REASONS_INTRODUCTION = """\
# Every reason

`generate --json` and `jobs show --json` write `reason_kind` beside the sentence: why a job failed, was cancelled or is
lost. A kind never changes its meaning within a major version; new ones may come. Others are only the note of a job that
waits or runs, or of its result.

<!-- `python -m tests.reference` writes this page from the structs in app/reasons. -->

| `reason_kind` | meaning |
|---|---|
"""


def main() -> None:
    """Write the documents."""
    DOCUMENT.write_text(document(), "utf-8")
    REASONS.write_text(reasons(), "utf-8")


def reasons() -> str:
    """The document of all reasons."""
    rows: list[str] = []
    for reason in (*get_args(JobReason), *get_args(LimitReason)):
        meaning = " ".join((inspect.getdoc(reason) or "").partition("\n\n")[0].split()).replace("|", "\\|")
        rows.append(f"| `{reason.__struct_config__.tag}` | {meaning} |\n")
    return REASONS_INTRODUCTION + "".join(rows)


def document() -> str:
    """The whole document."""
    text = EXAMPLE.read_text("utf-8")
    comments, settings = read_example(text)
    parts = [INTRODUCTION]
    for table in TABLES:
        name = f"## `[[{table}]]`" if f"[[{table}]]" in text else f"## `[{table}]`"
        parts.append("## At the top of the file\n" if not table else name + "\n")
        if table and (comment := comments.get(table)):
            parts.append(comment + "\n")
        parts.append("| key | default | what it does |\n|---|---|---|")
        parts += [_row(setting) for setting in settings if setting.table == table]
        parts.append("")
    parts.append("## Variables of the environment and of `.env`\n\n| variable | what it does |\n|---|---|")
    parts += [f"| `{name}` | {text} |" for name, text in ENVIRONMENT.items()]
    return "\n".join(parts) + "\n"


def read_example(text: str) -> tuple[dict[str, str], list[Setting]]:
    """The comment above each table, and every setting with its table, in the order of the file."""
    comments: dict[str, str] = {}
    settings: list[Setting] = []
    table, prose = "", list[str]()
    for line in text.splitlines():
        if heading := HEADING.fullmatch(line):
            table = heading["table"]
            comments[table] = " ".join(prose)
            prose = []
        elif match := SETTING.fullmatch(line):
            if not match["comment"]:
                settings.append(Setting(table, match["key"], " ".join(prose), [match["value"]]))
                prose = []
            elif settings[-1].key == match["key"]:
                settings[-1].values.append(match["value"])
        elif line.startswith("# "):
            prose.append(line.removeprefix("# "))
        else:
            prose = []
    return comments, settings


def _row(setting: Setting) -> str:
    default = _default(setting)
    values = [f"`{value}`" for value in setting.values if not default or parsed(value) != parsed(default)]
    text = setting.comment + (f" Examples: {', '.join(values)}." if values else "")
    text = text.strip().replace("|", "\\|")
    return f"| `{setting.key}` | {default and f'`{default}`'} | {text} |"


def _default(setting: Setting) -> str:
    """The default as one writes it in the file, "" if there is none or the comment says it."""
    if "Default:" in setting.comment:
        return ""
    structs = (TABLES[setting.table], *ALSO.get(setting.table, ()))
    for field in (field for struct in structs for field in msgspec.structs.fields(struct)):
        if field.name != setting.key or field.default is None:
            continue
        if field.default is not msgspec.NODEFAULT:
            return toml(field.default)
        if field.default_factory is not msgspec.NODEFAULT:
            return toml(field.default_factory())
    return ""


def toml(value: object) -> str:
    """A value as TOML writes it: all that are defaults look as in JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def parsed(value: str) -> object:
    """A value as TOML reads it."""
    return tomllib.loads(f"value = {value}")["value"]


if __name__ == "__main__":
    main()
