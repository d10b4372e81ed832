"""What our protocol object hands to trio-websocket; wrong servers are in `test_hostile_sockets`."""

from __future__ import annotations

import pytest
from wsproto.events import AcceptConnection, Ping, Request

from app.comfy.websocket.trio_protocol import ARRIVED, TOGETHER, GatheringProtocol
from app.ports import ConnectionLost
from tests.comfy.websocket.hostile import FRAMES, frame, handshake


def gathering(messages: bytes) -> GatheringProtocol:
    """A protocol whose connection is open, and which was sent these frames."""
    protocol = GatheringProtocol(largest=100)
    protocol.receive_data(handshake(protocol.send(Request(host="here", target="/ws"))))
    assert [type(event) for event in protocol.events()] == [AcceptConnection]
    protocol.receive_data(messages)
    return protocol


def test_messages_that_arrive_together_are_one_event_and_keep_their_place_among_others() -> None:
    protocol = gathering(frame(1, b"a") + frame(2, b"b") + frame(9, b"ping") + frame(1, b"c"))
    gathered = [protocol.take() if event is ARRIVED else type(event) for event in protocol.events()]
    assert gathered == [["a", b"b"], Ping, ["c"]]


def test_not_more_than_some_messages_are_one_event() -> None:
    protocol = gathering(frame(1, b"a") * (2 * TOGETHER + 1))
    assert [len(protocol.take()) for _ in protocol.events()] == [TOGETHER, TOGETHER, 1]


def test_messages_before_a_broken_frame_are_received() -> None:
    protocol = gathering(frame(1, b"a") + FRAMES["reserved bits"])
    events = protocol.events()
    assert next(events) is ARRIVED
    assert protocol.take() == ["a"]
    with pytest.raises(ConnectionLost):
        next(events)
