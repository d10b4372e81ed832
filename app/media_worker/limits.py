"""What is accepted, and what one process may use. Each number has its reason."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

MOST_BYTES = 64 * 2**20
"""Bytes of one file. A photo has 3 to 20 MB; WebP and AVIF decoders read the whole file into memory."""

MOST_PIXELS = 40_000_000
"""Pixels of one picture or frame. Pillow needs 4 bytes for each, and a conversion needs a second copy: 320 MB."""

MOST_PIXELS_OF = {"WEBP": 18_000_000, "AVIF": 24_000_000}
"""The same for formats whose decoders keep the picture several times: measured 16 to 19 bytes a pixel for WebP,
and 10 to 14 for AVIF."""

MOST_FRAMES = 300
"""Frames of an animation: 12 seconds at 25 a second. They are decoded one at a time, but each costs time."""

LIGHT_PIXELS = 4_000_000
"""Pixels, all frames together, up to which a request counts as quick: well below a second of work."""


class Limits(Struct, frozen=True):
    """What one process may use: `memory` in bytes of address space, `cpu` in seconds a request, `deadline` in seconds
    of real time a request. `niceness` is how far behind others it is when they need the same core."""

    memory: int
    cpu: int
    deadline: float
    niceness: int = 5
    """The bot answers people within milliseconds, so it has priority."""


PICTURES = Limits(memory=390 * 2**20, cpu=60, deadline=120.0)
"""Below 400 MB whatever the file is. A picture of 40 megapixels takes 4 to 13 seconds."""

VIDEOS = Limits(memory=1_000_000_000, cpu=1800, deadline=900.0)
"""H.264 at 1080p with few threads takes 300 to 600 MB of address space. The journal keeps the result meanwhile."""

THUMBNAILS = Limits(memory=VIDEOS.memory, cpu=60, deadline=120.0, niceness=15)
"""Of pictures and of the first frames of videos, behind everything for which somebody waits."""

MOST_OPEN_FILES = 32
"""Three pipes, a source and a target, and some while modules are imported."""

LARGEST_FILE = 256 * 2**20
"""Bytes that a process may write into one file: a PNG of 40 megapixels of noise has 160 MB."""


def limit_process(limits: Limits) -> None:
    """Limit the current process. Limits that the system does not support are skipped."""
    with suppress(OSError, AttributeError):
        os.nice(limits.niceness)
    with suppress(OSError):
        # If memory runs out anyway, Linux kills this process rather than the bot.
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    if sys.platform == "win32":
        return
    import resource

    for kind, value in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_NOFILE, MOST_OPEN_FILES),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError, ValueError):
            # macOS defines RLIMIT_AS and refuses the value.
            resource.setrlimit(kind, (value, value))


def allow_cpu(seconds: int) -> None:
    """Let the current process use this many more seconds of CPU time, after which the system ends it."""
    if sys.platform == "win32":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, resource.RLIM_INFINITY))
