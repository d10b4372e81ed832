"""Every reason has a sentence, whatever the files and the people say that its facts come from."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from types import NoneType, UnionType
from typing import Literal, NewType, Union, cast, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct

from app.reasons import Reason
from app.texts.reasons.text import reason_text
from app.texts.wording import LONGEST_NAME, LONGEST_SENTENCE, limits_text, shortened, suggest
from app.workflows.model import WorkflowError
from app.workflows.reasons.wrapped import InFile, PlainText

APP = Path(__file__).parents[2] / "app"

EXAMPLES = 100
"""Reasons of each kind, the same ones each time. To draw them, Hypothesis takes ten times as long as the sentences."""

LONG = ("x" * 5000, "a b " * 3000, "\n" * 700)
ODD = ("", " ", *LONG, "a\r\nb", "\x00\x1b[2J", "\u2028", "\udcff", "{0} %s", "“”", ".")
INTEGERS = (0, 1, -1, 7, 2**40, -(2**70), 10**400)
FLOATS = (0.0, -0.0, 0.1, -1.5, 1e22, 1e308, 5e-324, math.inf, -math.inf, math.nan)

KINDS = sorted(
    (kind for kind in Reason.__subclasses__() if kind.__module__.startswith(("app.service.", "app.workflows."))),
    key=lambda kind: kind.__name__,
)
"""Every kind of reason of workflows and requests that `app.texts.reasons.text` imports."""

FLAT = [kind for kind in KINDS if Reason not in get_type_hints(kind).values() and kind is not PlainText]


def text(random: Random, odd: Sequence[str] = ODD) -> str:
    """A text of any characters: mostly short, now and then longer than a name in a sentence, or one of the odd ones."""
    if odd and random.random() < 0.4:
        return random.choice(odd)
    size = random.choice([1, 3, 8, 30, 80])
    limit = random.choice([0x80, 0x250, 0x10000, 0x110000])
    return "".join(map(chr, random.choices(range(limit), k=size)))


def value(hint: object, random: Random, odd: Sequence[str] = ODD) -> object:
    """Any value of a field with this type."""
    if hint is NoneType:
        return None
    if hint is bool:
        return random.random() < 0.5
    if hint is str:
        return text(random, odd)
    if hint is int:
        return random.choice([*INTEGERS, random.randrange(10**6)])
    if hint is float:
        return random.choice([*FLOATS, random.uniform(-1e9, 1e9)])
    if hint is Reason:
        return reason_of(random.choice(FLAT), random)
    if isinstance(hint, NewType):
        return value(hint.__supertype__, random, odd)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return random.choice(arguments)
    if origin in {Union, UnionType}:
        return value(random.choice(arguments), random, odd)
    if origin is tuple and arguments[-1] is ...:
        # Three of anything, or more than any list in a sentence has, of which none is long: to compare many that are
        # long takes seconds.
        few = random.random() < 0.7
        return tuple(value(arguments[0], random, odd if few else ()) for _ in range(random.randrange(4) if few else 20))
    if origin is tuple:
        return tuple(value(argument, random, odd) for argument in arguments)
    assert isinstance(hint, type), hint
    assert issubclass(hint, Struct), hint
    return built(hint, random, odd)


hints_of = cache(get_type_hints)
"""The types of the fields of a kind: to find them takes as long as to draw values of them."""


def built(kind: type[Struct], random: Random, odd: Sequence[str] = ODD) -> Struct:
    hints = hints_of(kind)
    return kind(**{name: value(hint, random, odd) for name, hint in hints.items() if name[0] != "_"})


def reason_of(kind: type[Reason], random: Random) -> Reason:
    return PlainText(f"{text(random)}.") if kind is PlainText else cast("Reason", built(kind, random))


def declared() -> Iterator[str]:
    """The name of every kind of reason of workflows and requests in the program."""
    for path in (*(APP / "service").rglob("*.py"), *(APP / "workflows").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.ClassDef(name=name, bases=[ast.Name(id="Reason")]):
                    yield name
                case _:
                    continue


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_reason_is_one_short_sentence(kind: type[Reason]) -> None:
    random = Random(kind.__name__)
    for _ in range(EXAMPLES):
        reason = reason_of(kind, random)
        sentence = reason_text(reason)
        assert sentence.isprintable(), reason
        assert len(sentence) <= LONGEST_SENTENCE, reason
        assert sentence.endswith((".", "?")), reason


def test_no_reason_is_forgotten() -> None:
    assert sorted(declared()) == [kind.__name__ for kind in KINDS]


def test_a_reason_without_a_sentence_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="Reason has no sentence"):
        reason_text(Reason())


def test_an_error_is_readable_in_a_log() -> None:
    error = WorkflowError(InFile("a.toml", PlainText("it is empty."), 3))
    assert str(error) == "InFile(file='a.toml', problem=PlainText(text='it is empty.'), line=3)"


def test_a_long_name_is_cut_and_blanks_become_one_space() -> None:
    assert shortened("a\n\tb") == "a b"
    assert shortened("x" * 61) == "x" * 59 + "…"
    assert len(shortened(" " * 10**6 + "x")) <= LONGEST_NAME


def test_nothing_in_a_name_controls_a_terminal() -> None:
    assert reason_text(PlainText("a\x1b[2J\u202eb is not a name.")) == "a [2J b is not a name."


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0, None, "at least 0"), (None, 0, "at most 0"), (0.5, 2**64, "between 0.5 and 18446744073709551616")],
)
def test_a_limit_of_zero_is_a_limit(low: float | None, high: float | None, text: str) -> None:
    assert limits_text(low, high) == text


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("stepps", ["steps", "seed"], "; did you mean “steps”?"),
        ("zzz", ["steps", "seed"], ": choose from steps, seed."),
        ("zzz", [str(number) for number in range(13)], ": choose from 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …."),
        ("zzz", [], "."),
    ],
)
def test_an_unknown_name_is_answered_with_the_most_similar_one_or_with_all(
    name: str, known: list[str], end: str
) -> None:
    assert suggest(name, known) == end
