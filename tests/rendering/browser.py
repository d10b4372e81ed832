"""A page as a PNG, by a headless Chromium of the system."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

WIDTH, HEIGHT = 820, 1800
"""Pixels of the window; what is empty below the page is cut off."""

COLOURS = 256
"""Colours of a PNG: a quarter of the bytes, and hardly to be seen."""

PATIENCE = 60.0
"""Seconds for one page."""


def find() -> str | None:
    """The path of a Chromium; None if none is installed."""
    return next((path for name in PROGRAMS if (path := shutil.which(name)) is not None), None)


def screenshot(page: str) -> bytes:
    """A page as a small PNG. Raises `LookupError` if no Chromium is installed, and what `subprocess` raises."""
    if (chromium := find()) is None:
        raise LookupError("Install Chromium first, for example with: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "page.html"), Path(folder, "page.png")
        source.write_text(page, encoding="utf-8")
        command = [chromium, *FLAGS, f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"]
        command += [f"--screenshot={target}", source.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        with Image.open(target) as picture:
            return small(picture.convert("RGB"))


def small(picture: Image.Image) -> bytes:
    """Without the empty rows at the end, as a PNG with few colours."""
    background = Image.new("RGB", picture.size, picture.getpixel((0, picture.height - 1)))
    box = ImageChops.difference(picture, background).getbbox()
    if box is not None:
        picture = picture.crop((0, 0, picture.width, min(picture.height, box[3] + 12)))
    kept = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG).save(kept, "PNG", optimize=True)
    return kept.getvalue()
