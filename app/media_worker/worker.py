"""The main loop of the process: limits itself, then answers one request after the other until the pipe ends."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from msgspec.structs import replace

from app.media_worker.compress import compress
from app.media_worker.dimensions import read_dimensions
from app.media_worker.limits import PICTURES, THUMBNAILS, VIDEOS, Limits, allow_cpu, limit_process
from app.media_worker.normalise import normalise
from app.media_worker.protocol import (
    Compress,
    MakeThumbnail,
    Normalise,
    Normalised,
    Redirected,
    Redirection,
    Refusal,
    Refused,
    Reply,
    Request,
    ThumbnailMade,
    decode_request,
    frame,
    path_from_bytes,
    read_frame,
)
from app.media_worker.thumbnail import make_thumbnail
from app.reasons.files import DiskFailed, TooMuchMemory

BUDGETS = {"video": VIDEOS, "thumbnail": THUMBNAILS}
"""What the argument of the process selects; without one, it is for pictures."""


def run(argv: list[str]) -> int:
    """Serve requests from stdin on stdout; return the exit code. The argument selects one of `BUDGETS`."""
    limits = BUDGETS[argv[0]] if argv else PICTURES
    requests, replies = sys.stdin.buffer, _own_stdout()
    limit_process(limits)
    serve(requests, replies, limits)
    return 0


def serve(requests: BinaryIO, replies: BinaryIO, limits: Limits) -> None:
    """Answer until the pipe ends. Raises `ProtocolError` for anything but requests."""
    while (body := read_frame(requests)) is not None:
        request = decode_request(body)
        allow_cpu(limits.cpu)
        replies.write(frame(answer(request)))
        replies.flush()


def answer(request: Request) -> Reply:
    """Carry out a request. Every failure that the file causes becomes a reply."""
    source, target = path_from_bytes(request.source), path_from_bytes(request.target)
    try:
        match request:
            case Normalise(kind=kind, lane=lane):
                return Normalised(normalise(source, target, kind, lane=lane))
            case Compress(limit=limit, keep_metadata=keep_metadata, mark_results=mark_results, lane=lane):
                made = compress(
                    source, target, limit, keep_metadata=keep_metadata, mark_results=mark_results, lane=lane
                )
                return replace(made, dimensions=read_dimensions(source))
            case MakeThumbnail(mark_results=mark_results):
                return ThumbnailMade(make_thumbnail(source, target, mark_results=mark_results))
    except Refusal as refusal:
        if (cause := refusal.__cause__) is not None:
            print(f"{refusal}: {type(cause).__name__}: {cause}"[:500], file=sys.stderr, flush=True)
        return Refused(refusal.reason)
    except Redirection as redirection:
        return Redirected(redirection.lane)
    except MemoryError:
        return Refused(TooMuchMemory())
    except OSError as error:
        print(f"{type(error).__name__}: {error}"[:500], file=sys.stderr, flush=True)
        return Refused(DiskFailed(error.strerror or ""))


def _own_stdout() -> BinaryIO:
    """The stream for replies. stdout is redirected to stderr, so that library output does not end up between frames."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies
