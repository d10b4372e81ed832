"""Damaged files for intake and the mark: `python -m tests.media_worker.fuzz --minutes N` runs until one breaks it."""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from app.media_worker.mark import PACKET, marked
from app.media_worker.normalise import normalise
from app.media_worker.protocol import Kind, Refusal
from app.reasons.jobs import kind_of

CORPUS = Path(__file__).parent / "corpus"

KINDS: dict[str, Kind] = {
    **dict.fromkeys((".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".avif"), "image"),
    **dict.fromkeys((".mp4", ".webm"), "video"),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".ogg", ".m4a"), "audio"),
}
"""For which kind of slot a file of the corpus was attached."""

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 64, 127, 128, 129, 192, 254, 255)
"""Bytes that parsers treat in a special way."""

HEADERS = 128
"""Half of all changes go into so many bytes at the beginning, which say what the rest means."""

MOST_PIXELS, MOST_FRAMES = 1_000_000, 10
"""Pixels and frames of a picture that are compared before and after the mark."""

Take = Callable[[Path, Path, Kind], object]
"""Takes a file in: source, target, kind. May raise `Refusal` and nothing else."""


class Finding(Exception):
    """A file that broke intake or the mark; `data` is the file."""

    def __init__(self, name: str, data: bytes, error: BaseException) -> None:
        super().__init__(f"{name}: {type(error).__name__}: {error}")
        self.name = name
        self.data = data
        self.error = error


def corpus() -> dict[str, bytes]:
    """The files that mutations begin with, by name."""
    return {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.suffix in KINDS}


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The same file with a few changes of the kinds that break parsers."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not changed:
            break
        at = rng.randrange(min(len(changed), HEADERS) if rng.random() < 0.5 else len(changed))
        match rng.randrange(8):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice(INTERESTING)
            case 2:
                changed[at] = rng.randrange(256)
            case 3:
                width = rng.choice((2, 4, 8))
                value = rng.choice((0, 1, 255, 2 ** (8 * width - 1), 2 ** (8 * width) - 1, len(data), len(data) - at))
                number = (value % 2 ** (8 * width)).to_bytes(width, rng.choice(("big", "little")))
                changed[at : at + width] = number
            case 4:
                del changed[at:]
            case 5:
                del changed[at : at + rng.randrange(1, 64)]
            case 6:
                changed[at:at] = changed[at : at + rng.randrange(1, 64)]
            case _:
                start = rng.randrange(len(changed))
                piece = changed[start : start + rng.randrange(1, 32)]
                changed[at : at + len(piece)] = piece
    return bytes(changed)


def mutations(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Mutated files of the corpus in turn, each with the name of what it was made of, for ever."""
    files = corpus()
    while True:
        for name, data in files.items():
            yield name, mutate(data, rng)


def check(name: str, data: bytes, take: Take, folder: Path) -> str:
    """Take one file in: why it was refused, or "taken". Raises `Finding` for any other exception."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    try:
        take(source, target, KINDS[Path(name).suffix])
    except Refusal as refusal:
        return kind_of(refusal.reason)
    except Exception as error:
        raise Finding(name, data, error) from error
    finally:
        target.unlink(missing_ok=True)
    return "taken"


class Changed(Exception):
    """The mark changed what is seen of a picture, or is not there once."""


def check_mark(name: str, data: bytes) -> str:
    """Mark one file: whether it could be marked. Raises `Finding` if that raises or changes pixels."""
    try:
        after = marked(data)
        if after == data:
            return "not marked"
        if after.count(PACKET) != 1 or marked(after).count(PACKET) != 1:
            raise Changed("the mark is not there once")
        if KINDS[Path(name).suffix] == "image" and _pixels(after) != _pixels(data):
            raise Changed("the pixels changed")
    except Exception as error:
        raise Finding(name, data, error) from error
    return "marked"


def _pixels(data: bytes) -> list[bytes] | None:
    """The frames of a picture; None if it cannot be decoded, or is too large for a search."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            frames: list[bytes] = []
            for number in range(min(getattr(picture, "n_frames", 1), MOST_FRAMES)):
                picture.seek(number)
                frames.append(picture.convert("RGBA").tobytes())
            return frames
    except Exception:  # noqa: BLE001
        # Pillow raises nearly everything for damaged files.
        return None


def main(argv: list[str]) -> int:
    """Mutate until the time is over, and save each file that breaks anything into the current folder; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.media_worker.fuzz")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args(argv)
    seed = arguments.seed if arguments.seed is not None else time.time_ns()
    end = time.monotonic() + 60 * arguments.minutes
    outcomes: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        for name, data in mutations(random.Random(seed)):
            if time.monotonic() > end:
                break
            try:
                outcomes[check(name, data, normalise, Path(folder))] += 1
                outcomes[check_mark(name, data)] += 1
            except Finding as finding:
                outcomes[f"finding: {type(finding.error).__name__}"] += 1
                saved = Path(f"finding-{sum(outcomes.values())}{Path(name).suffix}")
                saved.write_bytes(data)
                print(f"{finding} (saved as {saved})", file=sys.stderr)
    print(f"seed {seed}: {dict(outcomes)}")
    return 1 if any(key.startswith("finding") for key in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
