"""What a submitted form says, out of any JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.discord.ui.submission import Submission, read_submission
from app.service.requests import AttachedFile


def submit(*components: object, **data: object) -> Submission | None:
    return read_submission({"type": 5, "data": {"components": list(components), **data}})


def label(kind: int, name: object, **more: object) -> dict[str, object]:
    return {"type": 18, "id": 1, "component": {"type": kind, "id": 2, "custom_id": name, **more}}


def test_every_kind_of_field_is_read() -> None:
    file = {"url": "https://cdn.discordapp.com/x.png", "filename": "x.png", "size": 3, "content_type": "image/png"}
    assert submit(
        label(4, "prompt", value="a cat"),
        label(3, "model", values=["m"]),
        label(21, "shape", value=None),
        label(23, "tiled", value=True),
        label(19, "image", values=["7"]),
        {"type": 10, "content": "read this"},
        resolved={"attachments": {"7": file}},
    ) == Submission(
        {"prompt": "a cat", "model": "m", "shape": "", "tiled": "true", "image": ""},
        (AttachedFile("image", "https://cdn.discordapp.com/x.png", "x.png", 3, "image/png"),),
        "a cat",
    )
    assert submit(label(22, "parts", values=["a", "b"])) == Submission({"parts": "a\nb"})


def test_a_form_of_rows_is_read() -> None:
    rows = [{"type": 1, "components": [{"type": 4, "custom_id": name, "value": name.upper()}]} for name in "ab"]
    assert submit(*rows) == Submission({"a": "A", "b": "B"}, typed="A\nB")


def test_another_interaction_is_none() -> None:
    assert read_submission({"type": 3, "data": {"custom_id": "x"}}) is None
    assert read_submission("text") is None


@pytest.mark.parametrize(
    "component",
    [
        label(4, "", value="x"),
        label(4, "x" * 101, value="x"),
        label(4, "prompt", value="the name is there twice"),
        label(4, "a", value="x" * 4001),
        label(4, "a", value=["x"]),
        label(3, "a", values="x"),
        label(3, "a", values=[1]),
        label(3, "a", values=["x"] * 26),
        label(19, "a", values=["8"]),
        label(23, "a", value="true"),
        label(99, "a", value="x"),
        {"type": 18},
        {"type": 17, "components": []},
        "text",
    ],
)
def test_what_no_form_can_send_is_damaged_and_the_text_is_kept(component: object) -> None:
    submission = submit(label(4, "prompt", value="a cat"), component)
    assert submission is not None
    assert submission.damaged
    assert submission.typed == "a cat"


def test_more_fields_than_a_form_has_are_damaged() -> None:
    submission = submit(*(label(4, f"f{number}", value=str(number)) for number in range(6)))
    assert submission is not None
    assert submission.damaged
    assert len(submission.fields) == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["components", "attachments"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "components", "component", "custom_id", "value", "values", "url", "resolved"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_that_arrives_raises(data: object) -> None:
    assert isinstance(read_submission({"type": 5, "data": data}), Submission)
