"""Play the moments, and write what was shown as PNGs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio

from tests.conftest import use_plain_tracebacks
from tests.discord.fake import running
from tests.discord.stage import stage_for
from tests.process.media_workers import forking_media_workers
from tests.rendering.browser import screenshot
from tests.rendering.moments import OPTIONS, play
from tests.rendering.page import page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


async def pages() -> dict[str, str]:
    """The pages of all moments."""
    with running() as discord, forking_media_workers(), tempfile.TemporaryDirectory() as data:
        async with stage_for(discord, Path(data), **OPTIONS) as stage:
            scenes = await play(stage)
        return {name: page(scene) for name, scene in scenes.items()}


def write(folder: Path) -> None:
    """Write the pictures of all moments as PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in anyio.run(pages).items():
        picture = screenshot(made)
        (folder / f"{name}.png").write_bytes(picture)
        print(f"{folder / name}.png  {len(picture) / 1000:.0f} kB")


if __name__ == "__main__":
    use_plain_tracebacks()
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
