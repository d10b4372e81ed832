"""What the page of models says. Names and values that come in are already escaped for Discord."""

from __future__ import annotations

from collections.abc import Sequence

WORKFLOWS = "What you can make now"
NOTHING = "Nothing can be made here now. Ask whoever runs this bot."
NO_SERVER = "No image server answers now. You can ask all the same: it starts as soon as one is back."
MORE = "… and more."

MAKES = {"image": "pictures", "video": "videos", "audio": "music and sound", "text": "text"}
"""What a workflow makes, by the kind of its result."""

EMOJI = {"image": "🖼️", "video": "🎬", "audio": "🎵", "text": "💬"}
OTHER = "✨"
"""The same as an emoji."""

SOURCES = {"image": "a picture", "video": "a video", "audio": "a recording"}
"""What a workflow needs, by the kind of its slot."""


def makes(result: str, sources: Sequence[str], *, words: bool) -> str:
    """What a workflow makes, from files of these kinds and from words."""
    needed = [SOURCES[kind] if count == 1 else f"{count} pictures" for kind, count in _counted(sources)]
    needed += ["words"] if words else []
    made = MAKES[result]
    return f"{made} from {' and '.join(needed)}" if needed else made


def _counted(sources: Sequence[str]) -> list[tuple[str, int]]:
    return [(kind, sources.count(kind)) for kind in dict.fromkeys(sources) if kind in SOURCES]


def usually(seconds: float) -> str:
    """How long it usually takes, once it runs."""
    if seconds < 60:
        return f"usually {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"usually {minutes} min"


def servers(count: int, total: int) -> str:
    """On how many servers it runs; "" if there is only one server at all."""
    if not count:
        return "its server does not answer now"
    if total < 2:
        return ""
    return "on 1 server" if count == 1 else f"on {count} servers"


def some_servers(name: str, count: int, total: int) -> str:
    """A model, and how many servers have it unless all have."""
    return name if count >= total else f"{name} ({count} of {total} servers)"


def further(count: int) -> str:
    """How many further models there are."""
    return f"and {count} more"
