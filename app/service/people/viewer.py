"""Who looks at the page."""

from __future__ import annotations

from msgspec import Struct


class Viewer(Struct, frozen=True):
    """Who looks at the page: a person by Discord id. With `everything` (demo), all is theirs to see."""

    person: str
    everything: bool = False
