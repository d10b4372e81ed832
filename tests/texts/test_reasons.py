"""Every reason has a sentence, whatever the files and the people say that its facts come from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, NewType, Union, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from app.reasons import Reason
from app.texts.reasons import reason_text
from app.texts.wording import LONGEST_NAME, LONGEST_SENTENCE, limits_text, shortened, suggest
from app.workflows.model import WorkflowError
from app.workflows.reasons.wrapped import InFile, PlainText

APP = Path(__file__).parents[2] / "app"

TEXTS = st.text(max_size=80) | st.sampled_from(
    ["", " ", "x" * 5000, "a b " * 3000, "\n" * 700, "a\r\nb", "\x00\x1b[2J", "\u2028", "\udcff", "{0} %s", "“”", "."]
)

KINDS = sorted(
    (kind for kind in Reason.__subclasses__() if kind.__module__.startswith(("app.service.", "app.workflows."))),
    key=lambda kind: kind.__name__,
)
"""Every kind of reason of workflows and requests that `app.texts.reasons` imports."""

FLAT = [kind for kind in KINDS if Reason not in get_type_hints(kind).values() and kind is not PlainText]


def values(hint: object) -> st.SearchStrategy[object]:
    """Any value of a field with this type."""
    simple: dict[object, st.SearchStrategy[object]] = {
        str: TEXTS,
        int: st.integers() | st.just(10**400),
        float: st.floats(),
        bool: st.booleans(),
        NoneType: st.none(),
    }
    if hint in simple:
        return simple[hint]
    if hint is Reason:
        return st.sampled_from(FLAT).flatmap(reasons)
    if isinstance(hint, NewType):
        return values(hint.__supertype__)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in {Union, UnionType}:
        return st.one_of([values(argument) for argument in arguments])
    if origin is tuple and arguments[-1] is ...:
        # Longer than any list in a sentence.
        return st.lists(values(arguments[0]), max_size=60).map(tuple)
    if origin is tuple:
        return st.tuples(*[values(argument) for argument in arguments])
    assert isinstance(hint, type), hint
    assert issubclass(hint, Struct), hint
    return built(hint)


def built(kind: type[Struct]) -> st.SearchStrategy[Struct]:
    return st.builds(kind, **{name: values(hint) for name, hint in get_type_hints(kind).items() if name[0] != "_"})


def reasons(kind: type[Reason]) -> st.SearchStrategy[Reason]:
    if kind is PlainText:
        return TEXTS.map(lambda text: PlainText(f"{text}."))
    return cast("st.SearchStrategy[Reason]", built(kind))


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
    @given(reasons(kind))
    def is_a_sentence(reason: Reason) -> None:
        told = reason_text(reason)
        assert told.isprintable()
        assert len(told) <= LONGEST_SENTENCE
        assert told.endswith((".", "?"))

    is_a_sentence()


def test_no_reason_is_forgotten() -> None:
    assert sorted(declared()) == [kind.__name__ for kind in KINDS]


def test_a_reason_without_a_sentence_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="Reason has no sentence"):
        reason_text(Reason())


def test_an_error_is_readable_in_a_log() -> None:
    error = WorkflowError(InFile("a.toml", PlainText("it is empty."), 3))
    assert str(error) == "InFile(file='a.toml', problem=PlainText(text='it is empty.'), line=3)"
    assert WorkflowError("it is empty.").reason == PlainText("it is empty.")


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
    ("given", "known", "end"),
    [
        ("stepps", ["steps", "seed"], "; did you mean “steps”?"),
        ("zzz", ["steps", "seed"], ": choose from steps, seed."),
        ("zzz", [str(number) for number in range(13)], ": choose from 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …."),
        ("zzz", [], "."),
    ],
)
def test_an_unknown_name_is_answered_with_the_most_similar_one_or_with_all(
    given: str, known: list[str], end: str
) -> None:
    assert suggest(given, known) == end
