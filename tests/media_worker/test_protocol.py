"""Frames between the bot and its media worker."""

from __future__ import annotations

import io

import msgspec
import pytest

from app.media_worker.protocol import (
    LONGEST_FRAME,
    Compress,
    Normalise,
    Normalised,
    ProtocolError,
    Refused,
    decode_reply,
    decode_request,
    frame,
    length_of,
    read_frame,
)
from app.reasons.files import FileDamaged

REQUEST = Normalise(source=b"/a", target=b"/b", kind="image")


def test_messages_come_out_as_they_went_in() -> None:
    pipe = io.BytesIO(frame(REQUEST) + frame(Compress(source="/ä".encode(), target=b"/b", limit=5)))
    for expected in (REQUEST, Compress(source="/ä".encode(), target=b"/b", limit=5)):
        body = read_frame(pipe)
        assert body is not None
        assert decode_request(body) == expected
    assert read_frame(pipe) is None
    assert decode_reply(frame(Refused(FileDamaged()))[4:]) == Refused(FileDamaged())


def test_a_frame_has_a_limit_in_both_directions() -> None:
    with pytest.raises(ProtocolError):
        frame(Normalised("x" * LONGEST_FRAME))
    with pytest.raises(ProtocolError):
        length_of(b"\xff\xff\xff\xff")
    with pytest.raises(ProtocolError):
        read_frame(io.BytesIO(b"\x7f\0\0\0" + b"x" * 100))
    assert length_of(LONGEST_FRAME.to_bytes(4)) == LONGEST_FRAME


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"x" * 50, frame(REQUEST)[4:-3], msgspec.msgpack.encode({"type": "Run"})]
)
def test_anything_but_a_message_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(body)
    with pytest.raises(ProtocolError):
        decode_reply(body)


def test_a_pipe_that_ends_within_a_frame_is_a_protocol_error() -> None:
    for length in (2, 4, 9):
        with pytest.raises(ProtocolError):
            read_frame(io.BytesIO(frame(REQUEST)[:length]))
