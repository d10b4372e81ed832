"""The parts that many sentences share: names, lists of names, numbers, and what was perhaps meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from app.workflows.parsing import Expected
from app.workflows.reasons.discovery import InputPlace

UNITS = (("second", 1, 60), ("minute", 60, 60), ("hour", 3600, 48), ("day", 86_400, float("inf")))
"""Names of units, their seconds, and how many of them are written in the next unit."""

LONGEST_SENTENCE = 600
"""Characters. A reason contains titles and values from files, which may be as long as a file."""

LONGEST_NAME = 60
"""Characters of a name or a value within a sentence."""

LONGEST_EXCERPT = 100
"""Characters of a name or a value that a server gives: a node's title, a file, an input."""

LONGEST_MESSAGE = 300
"""Characters of a message in another program's own words."""

LONGEST_PATH = 200
"""Characters of the path of a file within a sentence."""

MOST_NAMES = 12
"""The number of names that a list in a sentence shows."""

BLANKS = re.compile(r" +")

EXPECTED: dict[Expected, str] = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "size": "a size such as 1024x768",
}
"""The type that a value must have."""

EXPORT = "in ComfyUI choose Workflow > Export (API)"
"""How to get a file in API format; the end of several sentences."""


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """Return the text on one line, cut to `longest` characters with "…" at the end if it has more."""
    line = _printable(text[: 10 * longest])
    return line if len(line) <= longest and len(text) <= 10 * longest else f"{line[: longest - 1]}…"


def sentence(text: str) -> str:
    """Return a sentence on one line, cut to `LONGEST_SENTENCE` characters; it still ends with a period then."""
    line = _printable(text).strip()
    return line if len(line) <= LONGEST_SENTENCE else f"{line[: LONGEST_SENTENCE - 2]}…."


def _printable(text: str) -> str:
    """Return the text on one line, with one blank for control characters and for characters without a width."""
    return BLANKS.sub(
        " ", text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    )


def ended(text: str) -> str:
    """Return what another program says as the end of a sentence: shortened, with exactly one period."""
    return f"{shortened(text, LONGEST_PATH).rstrip('.')}."


def brief(text: str, longest: int = LONGEST_EXCERPT) -> str:
    """Return a name or a value that a server gives: shortened, and without blanks around it."""
    return shortened(text.strip(), longest).strip()


def message_text(text: str) -> str:
    """Return a message in another program's own words, with a period if it has no end; "" for none."""
    line = brief(text, LONGEST_MESSAGE)
    return line if not line or line.endswith((".", "!", "?", "…")) else f"{line}."


def quoted(name: str) -> str:
    """Return a name in quotes, shortened."""
    return f"“{shortened(name)}”"


def path_text(path: str) -> str:
    """Return the path of a file, shortened."""
    return shortened(path, LONGEST_PATH)


def listed(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Return the first `most` names, separated by commas, with "…" at the end if there are more."""
    return ", ".join(shortened(name) for name in names[:most]) + (", …" if len(names) > most else "")


def either(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Return the first `most` parts of a sentence, joined by “or”."""
    return " or ".join([*names[:most], *(["…"] if len(names) > most else [])])


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: the most similar known name, else a list of the known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"; did you mean {quoted(close[0])}?"
    return f": choose from {listed(names)}." if names else "."


def number_text(number: float) -> str:
    """Return a number as people write it; an int with every digit."""
    return shortened(str(number) if isinstance(number, int) else f"{number:g}")


def limits_text(low: float | None, high: float | None) -> str:
    """Return the limits of a number; at least one must be given."""
    if low is not None and high is not None:
        return f"between {number_text(low)} and {number_text(high)}"
    if low is not None:
        return f"at least {number_text(low)}"
    return f"at most {number_text(high)}" if high is not None else "a number"


def duration_text(seconds: float) -> str:
    """A length of time in its largest unit, rounded: "40 seconds", "3 minutes", "2 hours", "5 days"."""
    for unit, length, most in UNITS:
        count = round(seconds / length)
        if count < most:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    raise AssertionError("a length of time is finite")


def inputs_text(places: Sequence[InputPlace]) -> str:
    """Return inputs as people know them: “Sampler”.seed, with the node's id if its title is not unique."""
    return " and ".join(
        f"{quoted(place.node)}.{shortened(place.input)}"
        + (f" (node {shortened(place.node_id)})" if place.node_id else "")
        for place in places
    )
