"""What people try: each is a sentence for them alone, and nothing else happens."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from tests.discord.fake import Upload
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, files, photo
from tests.media_worker.fuzz import CORPUS
from tests.media_worker.samples import claiming

anyio_backend = only_on("asyncio")


def encoded(kind: str, size: tuple[int, int] = (32, 32), frames: int = 1) -> bytes:
    kept = io.BytesIO()
    pictures = [Image.new("L", size, 40 * number) for number in range(frames)]
    pictures[0].save(kept, kind, **({"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}))
    return kept.getvalue()


def bomb() -> bytes:
    """A PNG of 20,000 by 20,000 pixels, in a few kilobytes."""
    kept = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(kept, "PNG")
    return kept.getvalue()


async def refused(stage: Stage, upload: Upload) -> str:
    """What is said about an attachment; nothing may come of it but that."""
    async with stage.bot() as life:
        told = await stage.ephemeral_followup(stage.discord.slash("remix", prompt="x", image=upload))
        assert len(stage.discord.messages) == 1
        assert not await life.journal.unfinished()
        return told


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.png", b"this is no picture at all", "not a picture"),
        ("notes.txt", b"text", "not a picture"),
        ("moving.gif", encoded("GIF", frames=3), "animated"),
        ("bomb.png", bomb, "pixels"),
        ("cut.png", encoded("PNG", (300, 300))[:-40], "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_attachment_that_cannot_be_used(
    stage: Stage, name: str, content: bytes | Callable[[], bytes], sentence: str
) -> None:
    content = content() if callable(content) else content
    kind = {"png": "image/png", "gif": "image/gif", "txt": "text/plain"}[name.partition(".")[2]]
    assert sentence in await refused(stage, Upload(name, content, kind))


DAMAGED = {"RuntimeError.avif": "image/avif", "IndexError.gif": "image/gif", "TypeError.tif": "image/tiff"}
"""Files of the fuzzer on which Pillow raises these; each has ended the bot for everybody."""


@pytest.mark.parametrize("name", DAMAGED)
async def test_a_damaged_picture_affects_only_the_person_who_sent_it(stage: Stage, name: str) -> None:
    damaged = Upload(name, (CORPUS / "damaged" / name).read_bytes(), DAMAGED[name])
    async with stage.bot():
        asked = stage.discord.slash("remix", prompt="x", image=damaged)
        grace = stage.discord.person("grace")
        other = stage.discord.slash("remix", prompt="x", image=photo(), user=grace)
        assert files(await stage.result(other))
        # Damaged Exif data is no reason to refuse a picture.
        if name.endswith(".tif"):
            assert files(await stage.result(asked))
        else:
            assert (
                "that can be used" in (told := await stage.ephemeral_followup(asked))
                or "is damaged or incomplete" in told
            )
        assert files(await stage.result(stage.discord.slash("remix", prompt="x", image=photo())))


async def test_a_small_file_with_67_megapixels_is_refused_by_its_header(stage: Stage) -> None:
    assert "40 million pixels" in await refused(stage, Upload("bomb.png", claiming(8_192, 8_192), "image/png"))


async def test_an_attachment_of_70_megabytes(stage: Stage) -> None:
    stage.discord.state.upload_limit = 100 * 2**20
    assert "Make the picture smaller" in await refused(stage, Upload("large.png", bytes(70 * 2**20), "image/png"))


async def test_a_prompt_of_6000_characters(stage: Stage) -> None:
    async with stage.bot() as life:
        told = await stage.ephemeral_followup(stage.discord.slash("txt2img", prompt="x" * 6000))
        assert "6000 characters" in told
        assert not await life.journal.jobs_of(stage.discord.alice.id, 1)
