"""The websocket protocol of trio-websocket, with limits; what a faulty server sends raises `ConnectionLost`.

trio-websocket reads in a task of its own. There, wsproto raises its errors about a wrong handshake, and trio-websocket
collects the parts of a message without counting empty ones. Both are corrected one level below, in its protocol object:
https://github.com/python-trio/trio-websocket/blob/master/trio_websocket/_impl.py (`_reader_task`).
"""

from __future__ import annotations

from collections.abc import Generator

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Pong, RejectConnection, TextMessage
from wsproto.utilities import RemoteProtocolError

from app.library_errors import short_message
from app.ports import ConnectionLost
from app.reasons.servers import FrameInvalid, FrameTooLarge, HandshakeInvalid, HandshakeRefused

TOGETHER = 32
"""Messages that are handled without a turn of the event loop, at most: half a millisecond."""

ARRIVED = BytesMessage(b"")
"""Tells trio-websocket that there are messages in `GatheringProtocol`."""


class ClientProtocol(WSConnection):
    """A client connection that accepts messages of at most `largest` bytes, in any number of parts."""

    def __init__(self, largest: int) -> None:
        super().__init__(ConnectionType.CLIENT)
        self._largest = largest
        self._parts = bytearray()

    def send(self, event: Event) -> bytes:
        """Encode one event; a pong after our own close frame is omitted, because the protocol forbids it."""
        if isinstance(event, Pong) and self.state is not ConnectionState.OPEN:
            return b""
        return super().send(event)

    def receive_data(self, data: bytes | None) -> None:
        """Process bytes from the server. Raises `ConnectionLost` for a wrong handshake."""
        try:
            super().receive_data(data)
        except (RemoteProtocolError, ValueError) as error:
            # A ValueError is a header that is not ASCII. The hint in the RemoteProtocolError is an HTTP response, which
            # only servers may send, so h11 refuses it.
            raise ConnectionLost(HandshakeInvalid()) from error

    def events(self) -> Generator[Event, None, None]:
        """Yield the server's events, each message whole. Raises `ConnectionLost` for a refusal or a broken frame."""
        for event in super().events():
            match event:
                case TextMessage() | BytesMessage() if event.message_finished and not self._parts:
                    yield event
                case TextMessage() | BytesMessage():
                    yield from self._gather(event)
                case RejectConnection(status_code=status):
                    # Immediately, because the body of this answer may never end.
                    raise ConnectionLost(HandshakeRefused(status))
                case CloseConnection(reason=reason) if self.state is ConnectionState.OPEN:
                    # wsproto reports a frame that it cannot read as a close frame, but in this state.
                    raise ConnectionLost(FrameInvalid(short_message(reason or "")))
                case _:
                    yield event

    def _gather(self, part: TextMessage | BytesMessage) -> Generator[Event, None, None]:
        """Add a part to its message, and yield the message once it is whole."""
        self._parts += part.data.encode() if isinstance(part.data, str) else part.data
        if len(self._parts) > self._largest:
            self._parts = bytearray()
            raise ConnectionLost(FrameTooLarge(self._largest))
        if part.message_finished:
            whole, self._parts = self._parts, bytearray()
            yield TextMessage(whole.decode()) if isinstance(part, TextMessage) else BytesMessage(bytes(whole))


class GatheringProtocol(ClientProtocol):
    """Gathers messages that arrived together: trio-websocket takes two turns of the event loop to pass on one event."""

    def __init__(self, largest: int) -> None:
        super().__init__(largest)
        self._messages: list[str | bytes] = []

    def take(self) -> list[str | bytes]:
        """The messages that `ARRIVED` stands for."""
        messages, self._messages = self._messages, []
        return messages

    def events(self) -> Generator[Event, None, None]:
        """Yield the server's events, in order, with `ARRIVED` in the place of messages; see `ClientProtocol.events`."""
        try:
            for event in super().events():
                if isinstance(event, (TextMessage, BytesMessage)):
                    self._messages.append(event.data if isinstance(event.data, str) else bytes(event.data))
                    if len(self._messages) >= TOGETHER:
                        yield ARRIVED
                    continue
                if self._messages:
                    yield ARRIVED
                yield event
        except ConnectionLost:
            # What arrived before the fault still counts.
            if self._messages:
                yield ARRIVED
            raise
        if self._messages:
            yield ARRIVED
