"""What somebody looks for in the gallery, as it stands in the address of a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import asdict, replace

from app.core.gallery import GalleryQuery
from app.texts import page as texts

DAY = 86_400.0

LONGEST = {"text": 200}
"""Characters of a field; of all others, `LONGEST_OTHER`."""

LONGEST_OTHER = 300

NAMES = {"since": "from", "until": "to"}
"""What fields are called in addresses, if they have another name there."""


class Search(Struct, frozen=True, kw_only=True):
    """What was typed or chosen, "" for anything. Days are written as 2026-11-30."""

    text: str = ""
    person: str = ""
    workflow: str = ""
    model: str = ""
    guild: str = ""
    since: str = ""
    until: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """Those that have something, by their names in addresses."""
        return {NAMES.get(name, name): value for name, value in asdict(self).items() if value}

    def address(self, path: str, **more: str) -> str:
        """The address of a page that keeps this search."""
        fields = self.fields | more
        return f"{path}?{urlencode(fields)}" if fields else path

    def without(self, name: str) -> Search:
        """The same without one of its fields."""
        return replace(self, **{name: ""})


class Refused(Exception):
    """A search makes no sense; `sentence` says what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def read_search(parameters: Mapping[str, str]) -> Search:
    """The search in the parameters of an address, as it was typed."""
    return Search(**{name: parameters.get(NAMES.get(name, name), "").strip() for name in Search.__struct_fields__})


def query_of(search: Search) -> GalleryQuery:
    """What is looked for. Raises `Refused`."""
    if any(len(value) > LONGEST.get(name, LONGEST_OTHER) for name, value in asdict(search).items()):
        raise Refused(texts.TOO_LONG)
    since, until = _day(search.since), _day(search.until)
    if since is not None and until is not None and since > until:
        raise Refused(texts.DATES_REVERSED)
    return GalleryQuery(
        text=search.text,
        owner=search.person,
        workflow=search.workflow,
        model=search.model,
        guild=search.guild,
        since=since,
        until=None if until is None else until + DAY,
    )


def key_of(text: str) -> int | None:
    """The key at which a page begins; None for the newest. Raises `Refused`."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Refused(texts.NO_SUCH_PLACE)
    return int(text)


def _day(text: str) -> float | None:
    """When a day begins, in seconds since 1970; None for "". Raises `Refused`."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC).timestamp()
    except ValueError:
        raise Refused(texts.not_a_date(text)) from None
