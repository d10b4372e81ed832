"""One worker, as a front sees it: the calls that are under way, and the websockets that it holds open for us."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TypeVar

import anyio
import structlog
from msgspec import Struct, field

from app.engine import scripts
from app.engine.connection import Engine, Entry
from app.engine.keys import requests_key
from app.engine.messages import (
    MESSAGE,
    Answer,
    AnyCall,
    Done,
    Fetch,
    InvalidMessage,
    Lost,
    NotDone,
    Registration,
    Reply,
    Request,
    Submit,
    decode,
    encode,
)
from app.ports import ConnectionLost, Refused
from app.reasons.servers import (
    AnswerInvalid,
    NoAnswer,
    RefusedConnection,
    WorkerAway,
    WorkflowTooLarge,
    WorkflowUnsendable,
)

logger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

BEGIN = 10.0
"""Seconds within which the worker must begin with a request, else it drops it."""

WITHDRAWAL = 1.0
"""Seconds for withdrawing a request when nobody waits for it any more, such as at the end of the program."""

REQUESTS = 256
"""Requests that the engine keeps for a worker that does not read."""

REQUESTS_SECONDS = 60.0
"""Seconds after the last request after which the engine forgets them."""


class _Call(Struct):
    """A call that waits for its answer, or for the end of the worker's session.

    One that is long also ends when the connection to the engine is lost.
    """

    is_long: bool
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer | None = None


class RemoteWorker:
    """Sends calls to a worker and waits for their answers.

    `registration` is what it says of itself, None while it is away. `front` is our id, and `client` the id by which
    ComfyUI knows us, by the label of the server.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        front: str,
        client: Callable[[str], str],
        lease: tuple[str, bytes] | None = None,
    ) -> None:
        """With a `lease`, a key and its value, prompts are sent only while the engine has it."""
        self.engine = engine
        self._lease = lease
        self.name = name
        self.front = front
        self.registration: Registration | None = None
        self._client = client
        self._numbers = count(1)
        self._calls: dict[int, _Call] = {}
        self._gone = anyio.Event()

    def register(self, registration: Registration | None) -> None:
        """Learn that the worker has this session now, or is away. What waits for another session gets no answer."""
        before, self.registration = self.registration, registration
        if before is not None and (registration is None or registration.session != before.session):
            self._gone.set()
            self._gone = anyio.Event()
            for call in self._calls.values():
                call.done.set()

    def lose_answers(self) -> None:
        """Learn that the engine may have forgotten answers: what might wait for one for an hour is to be asked again.

        All other calls go on: they may have begun, and must not be repeated before that is known.
        """
        for call in self._calls.values():
            if call.is_long:
                call.done.set()

    @property
    def gone(self) -> anyio.Event:
        """Set at the end of the session that the worker has now."""
        return self._gone

    def receive(self, entry: Entry) -> None:
        """Handle an entry of the stream of replies to us."""
        try:
            reply = decode(entry.data, Reply)
        except InvalidMessage as error:
            logger.warning("a worker sent something that is not a reply", worker=self.name, error=str(error)[:200])
            return
        if (call := self._calls.get(reply.number)) is not None:
            call.answer = reply.answer
            call.done.set()

    async def ask(self, server: str, call: AnyCall, shape: type[T], seconds: float) -> T:
        """Have the worker do something for one of its servers; what its method returned.

        Raises `ConnectionLost` if that is not known within so many seconds, and `Refused`.
        """
        answer = await self.answer(server, call, seconds)
        if not isinstance(answer, Done):
            raise Refused(AnswerInvalid(type(answer).__name__), certain=False)
        return self.read(answer, shape)

    async def tell(self, server: str, call: AnyCall) -> None:
        """Have the worker do something without waiting for its answer; it may be lost. Raises `ConnectionLost`."""
        if (registration := self.registration) is None:
            raise ConnectionLost(WorkerAway())
        data = self._encoded(server, next(self._numbers), call, BEGIN)
        stream = requests_key(self.name, registration.session)
        await self.engine.add(stream, data, longest=REQUESTS, seconds=REQUESTS_SECONDS)

    def read(self, answer: Done, shape: type[T]) -> T:
        """The value of an answer. Raises `Refused`."""
        try:
            return decode(answer.value, shape)
        except InvalidMessage as error:
            raise Refused(AnswerInvalid(str(error)[:100]), certain=False) from error

    async def answer(self, server: str, call: AnyCall, seconds: float) -> Answer:
        """What came of a call, unless it failed. Raises `ConnectionLost` and `Refused` as above."""
        if (registration := self.registration) is None:
            raise ConnectionLost(WorkerAway())
        stream = requests_key(self.name, registration.session)
        number, waiting = next(self._numbers), _Call(is_long=isinstance(call, Fetch))
        data = self._encoded(server, number, call, min(seconds, BEGIN))
        self._calls[number] = waiting
        entry: str | None = None
        try:
            entry = await self._add(stream, data, call)
            with anyio.move_on_after(seconds):
                await waiting.done.wait()
        finally:
            del self._calls[number]
            if waiting.answer is None and entry is not None:
                # Whoever waited has given up: the worker must not begin with it any more.
                with anyio.move_on_after(WITHDRAWAL, shield=True), suppress(ConnectionLost):
                    await self.engine.remove(stream, entry)
        if waiting.answer is None:
            raise ConnectionLost(WorkerAway() if waiting.done.is_set() else NoAnswer(seconds))
        return _checked(waiting.answer)

    async def _add(self, stream: str, data: bytes, call: AnyCall) -> str:
        """Send a request; its id. Raises `ConnectionLost`."""
        if self._lease is None or not isinstance(call, Submit):
            return await self.engine.add(stream, data, longest=REQUESTS, seconds=REQUESTS_SECONDS)
        key, value = self._lease
        arguments = [REQUESTS, round(REQUESTS_SECONDS * 1000), data, value]
        entry = await self.engine.script(scripts.ADD_WHILE_HELD, [stream, key], arguments)
        if not isinstance(entry, bytes) or not entry:
            # Another front may have the job by now.
            raise ConnectionLost(RefusedConnection())
        return entry.decode()

    def _encoded(self, server: str, number: int, call: AnyCall, within: float) -> bytes:
        client = self._client(server)
        try:
            data = encode(
                Request(number=number, front=self.front, client=client, server=server, within=within, call=call)
            )
        except (ValueError, RecursionError) as error:
            raise Refused(WorkflowUnsendable()) from error
        if len(data) > MESSAGE:
            raise Refused(WorkflowTooLarge())
        return data


def _checked(answer: Answer) -> Answer:
    """The answer, if the call succeeded."""
    match answer:
        case Lost(reason=reason):
            raise ConnectionLost(reason)
        case NotDone():
            raise Refused(answer.reason, certain=answer.certain, missing=answer.missing, unusable=answer.unusable)
        case _:
            return answer
