"""What the bot shows in its key moments: each obeys Discord's rules, and has the structure that people expect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.discord.fake import FakeDiscord
from tests.discord.fake.components import check_modal, check_v2
from tests.discord.stage import stage_for
from tests.rendering.browser import WIDTH
from tests.rendering.moments import NAMES, OPTIONS, play
from tests.rendering.outline import outline, texts
from tests.rendering.page import NOTICE, page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"

MOST_BYTES = 1_200_000
"""Bytes of all pictures in the documentation together."""


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is shown does not depend on it, and each button has a test of its own."""
    return "trio"


async def test_every_moment_is_drawn_from_what_the_bot_sent(fake: FakeDiscord, tmp_path: Path) -> None:
    async with stage_for(fake, tmp_path, **OPTIONS) as stage:
        scenes = await play(stage, width=256, height=256)
    assert set(scenes) == set(NAMES)
    drawn = {name: page(scene) for name, scene in scenes.items()}
    for name, scene in scenes.items():
        if scene.is_form:
            check_modal(scene.payload)
        elif scene.payload["components"]:
            # The fake has checked what was sent. What it keeps has its own addresses in it, and is checked once more.
            check_v2(json.loads(json.dumps(scene.payload["components"]).replace('"http://', '"https://')))
        assert texts(drawn[name], "footer") == [NOTICE]
    pictures = {name: len([each for each in outline(made) if each.tag == "img"]) for name, made in drawn.items()}
    shown = {"running": 1, "batch": 3, "finished-one": 1, "finished-four": 4, "finished-nine": 9, "edited": 2}
    shown |= {"details": 1, "jobs": 7, "varied": 4, "zoomed": 4, "choice": 1}
    assert {name: count for name, count in pictures.items() if count} == shown
    for name in shown:
        assert all(each.text for each in outline(drawn[name]) if each.tag == "img"), "each picture is described"
    for name, made in drawn.items():
        assert len(texts(made, "button", "primary")) <= 1, f"{name} has one primary button"


def test_the_documentation_has_a_small_picture_of_each_moment() -> None:
    files = {path.stem: path for path in PICTURES.glob("*.png")}
    assert set(files) == set(NAMES), "run `just pictures`"
    assert sum(path.stat().st_size for path in files.values()) < MOST_BYTES
    for path in files.values():
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.width == WIDTH
