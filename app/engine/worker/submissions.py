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
    """Owns them, by the ids of their entries."""

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

    async def of_others_are_over(self, request: Request) -> None:
        """Wait until the server of this request has what other fronts are submitting to it, or will not have it.

        A front knows what it submits itself, but not what one was submitting that is gone.
        """
        for each in list(self._submissions.values()):
            if each.server == request.server and each.front != request.front:
                await each.over.wait()
