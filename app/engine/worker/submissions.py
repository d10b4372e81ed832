"""Which prompts are being submitted, so that a front which takes over is not told that their server lacks them."""

from __future__ import annotations

import anyio
from msgspec import Struct, field

from app.engine.messages import Request, Submit


class _Submission(Struct):
    """A prompt that is being submitted for a front, to the server with this label."""

    front: str
    server: str
    over: anyio.Event = field(default_factory=anyio.Event)


class Submissions:
    """Owns the submissions that are under way, by the ids of their entries."""

    def __init__(self) -> None:
        self._submissions: dict[str, _Submission] = {}

    def begin(self, entry: str, request: Request) -> None:
        """Learn of a request in the order in which the engine has them; `end` must follow."""
        if isinstance(request.call, Submit):
            self._submissions[entry] = _Submission(request.front, request.server)

    def end(self, entry: str) -> None:
        """Learn that a request is over."""
        if (submission := self._submissions.pop(entry, None)) is not None:
            submission.over.set()

    async def wait_for_others(self, request: Request) -> None:
        """Wait until what other fronts are submitting to the server of this request has arrived there, or has failed.

        A front knows what it submits itself, but not what a front that is gone was submitting.
        """
        for each in list(self._submissions.values()):
            if each.server == request.server and each.front != request.front:
                await each.over.wait()
