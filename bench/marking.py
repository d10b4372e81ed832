"""Marking a picture of 4 MB of each format as made by a machine, beside a plain copy of the same file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from app.media_worker import mark
from app.media_worker.mark import PACKET
from app.media_worker.pieces import Keep, Piece, View, write

BYTES = 4_000_000

TIMES = 40
"""Files of each format and round; marking and copying take turns."""

GOAL_MS = 10.0
"""The goal for the median of marking one file."""


def _noise(pixels: int) -> Image.Image:
    side = round(pixels**0.5)
    channels = [Image.effect_noise((side, side), 90) for _ in range(3)]
    return Image.merge("RGB", channels)


def _film(path: Path) -> None:
    """A film by its boxes alone: marking reads nothing else."""
    boxes = {b"ftyp": b"isom" + bytes(4), b"moov": bytes(20_000), b"mdat": bytes(BYTES - 20_036)}
    path.write_bytes(b"".join((8 + len(body)).to_bytes(4) + kind + body for kind, body in boxes.items()))


# Pixels of noise that have about 4 MB in this format.
MAKERS: Mapping[str, Callable[[Path], None]] = {
    "png": lambda path: _noise(1_380_000).save(path, "PNG", compress_level=1),
    "jpeg": lambda path: _noise(4_350_000).save(path, "JPEG", quality=90),
    "webp": lambda path: _noise(4_630_000).save(path, "WEBP", quality=90, method=0),
    "gif": lambda path: _noise(3_000_000).convert("P").save(path, "GIF"),
    "mp4": _film,
}


def _mark(source: Path, target: Path) -> None:
    """Write the marked file, as the media worker does."""
    size = source.stat().st_size
    with source.open("rb") as file:
        pieces = mark.plan(View(file, [Keep(0, size)]))
    if pieces is None:
        raise ValueError(source)
    write(source, target, pieces)


def _copy(source: Path, target: Path) -> None:
    whole: list[Piece] = [Keep(0, source.stat().st_size)]
    write(source, target, whole)


def _round(source: Path, target: Path) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in ("copy_ms", "copy_cpu_ms", "mark_ms", "mark_cpu_ms")}
    for _ in range(TIMES):
        for name, does in (("copy", _copy), ("mark", _mark)):
            began, cpu = time.perf_counter(), time.process_time()
            does(source, target)
            took[f"{name}_cpu_ms"].append(1000 * (time.process_time() - cpu))
            took[f"{name}_ms"].append(1000 * (time.perf_counter() - began))
    if target.read_bytes().count(PACKET) != 1:
        raise ValueError(target)
    return {name: statistics.median(times) for name, times in took.items()}


def marking(rounds: int) -> dict[str, object]:
    """Return for each format its size in MB, and the medians of copying and marking in milliseconds.

    A busy machine makes both slower; the CPU time hardly changes.
    """
    figures: dict[str, object] = {}
    with TemporaryDirectory() as folder:
        target = Path(folder) / "target"
        for name, make in MAKERS.items():
            source = Path(folder) / name
            make(source)
            found = [_round(source, target) for _ in range(rounds)]
            medians = {key: round(statistics.median(figure[key] for figure in found), 2) for key in found[0]}
            figures[name] = {"size_mb": round(source.stat().st_size / 1e6, 2), **medians}
    return {"goal_ms": GOAL_MS, **figures}
