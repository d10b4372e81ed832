"""The document of all settings is what the schema and the example say."""

from __future__ import annotations

import msgspec
import pytest

from app.config.variables import VARIABLES
from app.journal.access.crash_points import VARIABLE
from tests.reference import ALSO, DOCUMENT, ENVIRONMENT, EXAMPLE, REASONS, TABLES, document, read_example, reasons

NO_KEYS = {
    "": {"included", "former_data", "discord_token", "api_key", "source"},
    "servers": {"power"},
    "http": {"host", "port", "problem"},
    "page": {"problem"},
}
"""Fields that are no keys: what the loader adds, what a variable sets, and the parts of one key."""


def test_the_document_of_all_settings_is_up_to_date() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "run `python -m tests.reference`"


def test_the_document_of_all_reasons_is_up_to_date() -> None:
    assert REASONS.read_text("utf-8") == reasons(), "run `python -m tests.reference`"


def test_every_setting_has_a_sentence() -> None:
    _, settings = read_example(EXAMPLE.read_text("utf-8"))
    assert [f"{setting.table}.{setting.key}" for setting in settings if not setting.comment.endswith(".")] == []


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_the_schema_is_in_the_document(table: str) -> None:
    _, settings = read_example(EXAMPLE.read_text("utf-8"))
    shown = {setting.key for setting in settings if setting.table == table}
    prefix = f"{table}." if table else ""
    tables = {name.removeprefix(prefix).partition(".")[0] for name in TABLES if name.startswith(prefix)}
    structs = (TABLES[table], *ALSO.get(table, ()))
    keys = {field.name for struct in structs for field in msgspec.structs.fields(struct)} - NO_KEYS.get(table, set())
    assert keys <= shown | tables


def test_every_table_of_the_example_is_in_the_document() -> None:
    comments, _ = read_example(EXAMPLE.read_text("utf-8"))
    assert comments.keys() <= TABLES.keys()


def test_every_variable_is_in_the_document() -> None:
    assert VARIABLES - {VARIABLE} <= ENVIRONMENT.keys()
