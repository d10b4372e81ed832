"""What is drawn has the structure of what was sent."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.discord.fake import Payload
from tests.rendering.browser import WIDTH, small
from tests.rendering.markdown import html
from tests.rendering.outline import outline, texts
from tests.rendering.page import NOTICE, Scene, page

PEOPLE = {"42": "mira"}


def picture() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(kept, "PNG")
    return kept.getvalue()


def message(*parts: Payload, flags: int = 0) -> Payload:
    return {"components": [{"type": 17, "accent_color": 0x57F287, "components": list(parts)}], "flags": flags}


def drawn(payload: Payload) -> str:
    return page(Scene(payload, "used **it**", lambda _: picture(), people=PEOPLE, now=1000.0))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"### a \*cat\*", "<h3>a *cat*</h3>"),
        ("-# by <@42>", '<small>by <span class="mention">@mira</span></small>'),
        ("<t:1060:R>", '<p><span class="time">in 1 minute</span></p>'),
        ("<t:980:R>", '<p><span class="time">20 seconds ago</span></p>'),
        ("**Steps** 24", "<p><b>Steps</b> 24</p>"),
        ("seed `7`", "<p>seed <code>7</code></p>"),
        ("[there](https://discord.com/x)", '<p><a href="https://discord.com/x">there</a></p>'),
        ("</imagine:1>", '<p><span class="mention">/imagine</span></p>'),
        ("You wrote:\n>>> one\ntwo", "<p>You wrote:</p><blockquote>one<br>two</blockquote>"),
        ("```\n/imagine *cat*\n```", "<pre>/imagine *cat*</pre>"),
        ("<script>", "<p>&lt;script&gt;</p>"),
    ],
)
def test_markdown_is_shown_as_discord_shows_it(text: str, shown: str) -> None:
    assert html(text, PEOPLE, 1000.0) == shown


def test_a_message_has_its_parts_in_order() -> None:
    gallery: Payload = {"type": 12, "items": [{"media": {"url": "https://x/a.png"}, "description": "a cat"}]}
    button: Payload = {"type": 2, "style": 1, "label": "Again", "custom_id": "again"}
    made = drawn(message({"type": 10, "content": "### a cat"}, gallery, {"type": 1, "components": [button]}))
    assert [(each.tag, each.text) for each in outline(made)] == [
        ("p", "used it"),
        ("article", ""),
        ("h3", "a cat"),
        ("img", "a cat"),
        ("button", "Again"),
        ("footer", NOTICE),
    ]
    assert texts(made, "button", "primary") == ["Again"]


def test_a_message_for_one_person_says_so() -> None:
    text: Payload = {"type": 10, "content": "no"}
    assert "Only you can see this" in drawn(message(text, flags=64))
    assert "Only you can see this" not in drawn(message(text))


def test_a_form_has_its_fields() -> None:
    field: Payload = {"type": 4, "custom_id": "prompt", "label": "Prompt", "style": 2, "value": "a cat"}
    made = drawn({"title": "Edit prompt", "custom_id": "x", "components": [{"type": 1, "components": [field]}]})
    assert "Edit prompt✕" in texts(made, "h1")
    assert [text.strip() for text in texts(made, "label")] == ["Prompt *a cat"]


def test_every_kind_of_field_is_drawn() -> None:
    choices: list[Payload] = [{"label": "Square", "value": "1"}, {"label": "Wide", "value": "2", "default": True}]
    kinds: list[Payload] = [
        {"type": 3, "custom_id": "a", "options": choices, "required": False},
        {"type": 19, "custom_id": "b", "required": False},
        {"type": 21, "custom_id": "c", "options": choices},
        {"type": 22, "custom_id": "d", "options": choices, "required": False},
        {"type": 23, "custom_id": "e", "default": True, "required": False},
    ]
    labels: list[Payload] = [{"type": 18, "label": "L", "description": "D", "component": kind} for kind in kinds]
    made = drawn({"title": "T", "custom_id": "x", "components": labels})
    # The description is a part of its own.
    assert [text.split() for text in texts(made, "label")] == [
        ["LWide⌄"],
        ["L⇪Drop", "a", "file", "here,", "or", "browse"],
        ["L", "*SquareWide"],
        ["LSquareWide"],
        ["L"],
    ]
    assert texts(made, "small") == ["D"] * 5


def test_what_is_not_known_is_not_left_out() -> None:
    with pytest.raises(ValueError, match="99"):
        drawn(message({"type": 99}))


def test_empty_rows_at_the_end_of_a_picture_are_cut_off() -> None:
    window = Image.new("RGB", (WIDTH, 400), "#313338")
    window.paste("white", (10, 10, 50, 100))
    with Image.open(io.BytesIO(small(window))) as cut:
        assert cut.size == (WIDTH, 112)
