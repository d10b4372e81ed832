"""What wrong servers say where a websocket is expected: handshakes, and frames after a right handshake."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import struct
from collections.abc import Callable

import anyio
from anyio.abc import ByteStream

from tests.comfy.peers import Behaviour

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


async def read_request(stream: ByteStream) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive()
    return request


def accept_of(request: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept that answers this request."""
    match = re.search(rb"(?i)sec-websocket-key:[ \t]*([^\r\n]+)", request)
    return base64.b64encode(hashlib.sha1((match.group(1) if match else b"") + MAGIC).digest())


def handshake(request: bytes, *more: bytes, upgrade: bytes = b"websocket", connection: bytes = b"Upgrade") -> bytes:
    """A 101 with its headers; an empty value leaves a header out."""
    lines = [b"HTTP/1.1 101 Switching Protocols"]
    lines += [b"Upgrade: " + upgrade] if upgrade else []
    lines += [b"Connection: " + connection] if connection else []
    lines += [b"Sec-WebSocket-Accept: " + accept_of(request), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def replying(reply: bytes | Callable[[bytes], bytes], then: bytes = b"", *, leave: bool = False) -> Behaviour:
    """Answer the request with these bytes, then send `then` for ever, or leave, or say nothing more."""

    async def behave(stream: ByteStream) -> None:
        request = await read_request(stream)
        await stream.send(reply if isinstance(reply, bytes) else reply(request))
        while then:
            await stream.send(then)
        if not leave:
            await swallow(stream)

    return behave


def after_handshake(frames: bytes, then: bytes = b"", *, leave: bool = False) -> Behaviour:
    """Shake hands properly, and send the frames in a packet of their own."""

    async def behave(stream: ByteStream) -> None:
        await stream.send(handshake(await read_request(stream)))
        await stream.send(frames)
        while then:
            await stream.send(then)
        if not leave:
            await swallow(stream)

    return behave


async def swallow(stream: ByteStream) -> None:
    """Read until the peer leaves."""
    while True:
        await stream.receive()


async def speak_first(stream: ByteStream) -> None:
    await stream.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    await swallow(stream)


async def trickle(stream: ByteStream) -> None:
    """A header of which one byte comes every 10 ms, and which has no end."""
    await read_request(stream)
    await stream.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
    while True:
        await stream.send(b"a")
        await anyio.sleep(0.01)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bool = False) -> bytes:
    """One websocket frame, as wrong as the arguments say."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    size, bit = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 2**16:
        head = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if mask else b"") + payload


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack(">H", code) + reason)


HTML = b"<!doctype html><p>It works!</p>"

HANDSHAKES: dict[str, Behaviour] = {
    "tls alert on a plain port": replying(b"\x15\x03\x01\x00\x02\x02\x46", leave=True),
    "connection header stripped by a proxy": replying(lambda request: handshake(request, connection=b"")),
    "connection: close": replying(lambda request: handshake(request, connection=b"close")),
    "wrong accept": replying(lambda _: handshake(b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")),
    "accept that is no ascii": replying(
        lambda _: b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \xff\r\n\r\n"
    ),
    "no accept": replying(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    "101 without upgrade": replying(lambda request: handshake(request, upgrade=b"")),
    "101 to another protocol": replying(lambda request: handshake(request, upgrade=b"h2c")),
    "101 without headers": replying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "connection header of broken bytes": replying(lambda request: handshake(request, connection=b"\xff\xfe")),
    "http/2 preface": replying(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    "http/2 settings": replying(b"\0\0\x12\4\0\0\0\0\0" + bytes(18)),
    "http/0.9": replying(HTML, leave=True),
    "http/3.7": replying(b"HTTP/3.7 101 What\r\n\r\n"),
    "plain text": replying(b"ERR unknown command 'GET'\r\n-ERR\r\n"),
    "speaks first": speak_first,
    "zeros": replying(bytes(4096)),
    "a header of 200 kB": replying(b"HTTP/1.1 101 S\r\nX-Big: " + b"a" * 200_000 + b"\r\n\r\n"),
    "a status line of 200 kB": replying(b"HTTP/1.1 101 " + b"a" * 200_000 + b"\r\n\r\n"),
    "100,000 headers": replying(b"HTTP/1.1 101 S\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"),
    "an endless header": replying(b"HTTP/1.1 101 S\r\nX-Big: ", b"a" * 4096),
    "a slow endless header": trickle,
    "endless informational answers": replying(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "200 with a body that never ends": replying(b"HTTP/1.1 200 OK\r\n\r\n", HTML * 1000),
    "301 with a body that never ends": replying(
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", HTML * 1000
    ),
    "403 with a body that never ends": replying(
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nbody\r\n" * 1000
    ),
    "403 with a body that stalls": replying(b"HTTP/1.1 403 No\r\nContent-Length: 1000\r\n\r\n" + HTML),
    "redirect to nonsense": replying(b"HTTP/1.1 302 Found\r\nLocation: http://[:::/\r\nContent-Length: 0\r\n\r\n"),
    "redirect to another scheme": replying(b"HTTP/1.1 302 Found\r\nLocation: file:///etc\r\nContent-Length: 0\r\n\r\n"),
    "redirect to itself": replying(b"HTTP/1.1 307 Again\r\nLocation: /ws\r\nContent-Length: 0\r\n\r\n"),
    "status 999": replying(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    "status 0": replying(b"HTTP/1.1 000 Odd\r\n\r\n"),
    "a status that is no number": replying(b"HTTP/1.1 yes OK\r\n\r\n"),
    "two content lengths": replying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "a negative content length": replying(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    "chunked garbage": replying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "a broken set-cookie": replying(b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\0; expires=x\r\nContent-Length: 0\r\n\r\n"),
    "half a header, then gone": replying(b"HTTP/1.1 101 Switching Prot", leave=True),
    "gone at once": replying(b"", leave=True),
    "an extension that we did not ask for": replying(
        lambda request: handshake(request, b"Sec-WebSocket-Extensions: x-unheard-of") + frame(1, b"x", reserved=4)
    ),
    "a compressed frame that we did not ask for": replying(
        lambda request: (
            handshake(request, b"Sec-WebSocket-Extensions: permessage-deflate") + frame(1, b"\xcaH\xcd", reserved=4)
        )
    ),
    "a close frame in the handshake's packet": replying(lambda request: handshake(request) + close(1000)),
    "junk in the handshake's packet": replying(lambda request: handshake(request) + b"\xff" * 64),
    "gone after the handshake": replying(handshake, leave=True),
}
"""Each of these has to end as `ConnectionLost`, from opening or from the first `receive`."""

LENIENT: dict[str, Behaviour] = {
    "a subprotocol that we did not ask for": replying(
        lambda request: handshake(request, b"Sec-WebSocket-Protocol: chat") + frame(1, b"hello")
    ),
    "a subprotocol of broken bytes": replying(
        lambda request: handshake(request, b"Sec-WebSocket-Protocol: \xff") + frame(1, b"hello")
    ),
    "extensions of broken bytes": replying(
        lambda request: handshake(request, b"Sec-WebSocket-Extensions: \xff") + frame(1, b"hello")
    ),
    "100 before 101": replying(
        lambda request: b"HTTP/1.1 100 Continue\r\n\r\n" + handshake(request) + frame(1, b"hello")
    ),
    "two tokens in connection": replying(
        lambda request: handshake(request, connection=b"keep-alive, Upgrade") + frame(1, b"hello")
    ),
}
"""Wrong, or unusual, in a way that one library accepts and another does not: the frame arrives, or it is a loss."""

FRAMES: dict[str, bytes] = {
    "reserved bits": frame(1, b"x", reserved=7),
    "a reserved opcode": frame(3, b"x"),
    "a reserved control opcode": frame(11),
    "a fragmented ping": frame(9, b"x", final=False),
    "a fragmented close": frame(8, b"\x03\xe8", final=False),
    "a ping of 126 bytes": frame(9, bytes(126)),
    "a close of 126 bytes": frame(8, b"\x03\xe8" + bytes(124)),
    "text that is no utf-8": frame(1, b"\xff\xfe\xfd"),
    "text that ends within a letter": frame(1, b"\xc3", final=False) + frame(0, b"", final=True),
    "a surrogate in text": frame(1, b"\xed\xa0\x80"),
    "a continuation without a start": frame(0, b"x"),
    "a second start within a message": frame(1, b"a", final=False) + frame(1, b"b"),
    "a text start within a binary message": frame(2, b"a", final=False) + frame(1, b"b", final=False),
    "a frame of 2^63 bytes": b"\x82\x7f" + struct.pack(">Q", 2**63),
    "a frame of 2^63 - 1 bytes": b"\x82\x7f" + struct.pack(">Q", 2**63 - 1) + bytes(100),
    "a frame of 2^64 - 1 bytes": b"\x82\x7f" + struct.pack(">Q", 2**64 - 1),
    "close 0": close(0),
    "close 999": close(999),
    "close 1004": close(1004),
    "close 1005": close(1005),
    "close 1006": close(1006),
    "close 1015": close(1015),
    "close 2999": close(2999),
    "close 4999": close(4999),
    "close 5000": close(5000),
    "close 65535": close(65535),
    "close with one byte": frame(8, b"\x03"),
    "close without a code": frame(8),
    "close with a reason that is no utf-8": close(1000, b"\xff\xff"),
    "close with a long reason": close(1000, b"r" * 123),
    "frames after close": close(1000) + frame(1, b"late") * 100 + frame(9, b"ping") + close(1001),
    "pings after close": frame(8) + frame(9, b"p") * 50,
    "http in the place of frames": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}
"""Each of these, sent after a right handshake, has to end as `ConnectionLost` before any frame is received."""

LENIENT_FRAMES: dict[str, bytes] = {
    "a masked frame": frame(1, b"hello", mask=True),
    "a length longer than needed": b"\x81\x7f" + struct.pack(">Q", 5) + b"hello",
}
"""As in `LENIENT`."""


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: bytes | None = None) -> bytes:
    """A whole HTTP answer."""
    length_text = str(len(body)).encode() if length is None else length
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: " + length_text, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def json(text: str | bytes) -> Behaviour:
    return replying(http(text.encode() if isinstance(text, str) else text), leave=True)


def raw(head: bytes, body: bytes = b"", *, leave: bool = True) -> Behaviour:
    return replying(b"HTTP/1.1 " + head + b"\r\n\r\n" + body, leave=leave)


GZIP = b"Content-Encoding: gzip"
DEEP = "[" * 100_000 + "]" * 100_000

REPLIES: dict[str, Behaviour] = {
    "nothing": replying(b"", leave=True),
    "half a status line": replying(b"HTTP/1.1 20", leave=True),
    "status 99": raw(b"99 Odd"),
    "status 1000": raw(b"1000 Odd"),
    "status 999": raw(b"999 Odd\r\nContent-Length: 0"),
    "status 600 with a body": replying(http(b"{}", status=b"600 Odd"), leave=True),
    "101": raw(b"101 Switching Protocols\r\nUpgrade: h2c"),
    "204 with a body": replying(http(b"{}", status=b"204 No Content"), leave=True),
    "206": replying(http(b"{}", b"Content-Range: bytes 0-1/500", status=b"206 Partial Content"), leave=True),
    "304": raw(b"304 Not Modified"),
    "no reason": replying(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", leave=True),
    "http/0.9": replying(HTML, leave=True),
    "http/2": replying(b"HTTP/2 200\r\n\r\n", leave=True),
    "tls": replying(b"\x15\x03\x01\x00\x02\x02\x46", leave=True),
    "a length of two": replying(http(b"{}", b"Content-Length: 7"), leave=True),
    "a negative length": replying(http(b"{}", length=b"-2"), leave=True),
    "a length of 5,000 digits": replying(http(b"{}", length=b"9" * 5000), leave=True),
    "a length of superscripts": replying(http(b"{}", length="²".encode()), leave=True),
    "too short": replying(http(b"{}", length=b"1000"), leave=True),
    "too long": replying(http(b"{}" + b"x" * 1000, length=b"2"), leave=True),
    "a length of 2^62": replying(http(b"{}", length=str(2**62).encode()), leave=True),
    "chunks of garbage": raw(b"200 OK\r\nTransfer-Encoding: chunked", b"zz\r\n{}\r\n"),
    "a chunk of 2^64": raw(b"200 OK\r\nTransfer-Encoding: chunked", b"ffffffffffffffffff\r\n{}"),
    "a negative chunk": raw(b"200 OK\r\nTransfer-Encoding: chunked", b"-1\r\n{}"),
    "a chunk header without end": raw(b"200 OK\r\nTransfer-Encoding: chunked", b"0" * 200_000),
    "chunks that end early": raw(b"200 OK\r\nTransfer-Encoding: chunked", b"2\r\n{}\r\n"),
    "trailers of nonsense": raw(b"200 OK\r\nTransfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\xff\r\n\r\n"),
    "an unknown transfer encoding": raw(b"200 OK\r\nTransfer-Encoding: br, chunked", b"0\r\n\r\n"),
    "no gzip": replying(http(b"{}", GZIP), leave=True),
    "half a gzip": replying(http(gzip.compress(b"{}" * 1000)[:-9], GZIP), leave=True),
    "gzip twice": replying(http(gzip.compress(gzip.compress(b"{}")), b"Content-Encoding: gzip, gzip"), leave=True),
    "brotli": replying(http(b"{}", b"Content-Encoding: br"), leave=True),
    "a coding of broken bytes": replying(http(b"{}", b"Content-Encoding: \xff\xfe"), leave=True),
    "a header of 200 kB": replying(http(b"{}", b"X-Big: " + b"a" * 200_000), leave=True),
    "100,000 headers": replying(http(b"{}", *[b"a: b"] * 100_000), leave=True),
    "a header with a null": replying(http(b"{}", b"X-Null: a\0b"), leave=True),
    "a header name of broken bytes": replying(http(b"{}", b"\xff\xfe: a"), leave=True),
    "a header without a colon": replying(http(b"{}", b"nonsense"), leave=True),
    "a type of broken bytes": raw(b"200 OK\r\nContent-Type: \xff\xfe; charset=\xff\r\nContent-Length: 2", b"{}"),
    "an unknown charset": raw(b"200 OK\r\nContent-Type: text/html; charset=klingon\r\nContent-Length: 2", b"{}"),
    "broken cookies": replying(http(b"{}", b"Set-Cookie: \xff=\0; Max-Age=x; Expires=\xff; Domain=.."), leave=True),
    "a redirect to nonsense": raw(b"302 Found\r\nLocation: http://[::1:::/\r\nContent-Length: 0"),
    "a redirect to a file": raw(b"301 Moved\r\nLocation: file:///etc/passwd\r\nContent-Length: 0"),
    "a redirect of broken bytes": raw(b"307 Again\r\nLocation: \xff\xfe\r\nContent-Length: 0"),
    "a redirect to a port of letters": raw(b"308 Moved\r\nLocation: http://a:b:c/\r\nContent-Length: 0"),
    "no json": json("<html>"),
    "no utf-8": json(b'{"a": "\xff\xfe"}'),
    "a utf-8 mark": json(b"\xef\xbb\xbf{}"),
    "utf-16": json('{"a": 1}'.encode("utf-16")),
    "100,000 levels": json(DEEP),
    "100,000 levels in a field": json('{"x": ' + DEEP + "}"),
    "500 levels": json("[" * 500 + "]" * 500),
    "500 levels in every field": json(
        "{"
        + ",".join(
            f'"{key}":' + '{"a":' * 500 + "1" + "}" * 500
            for key in ("outputs", "status", "error", "node_errors", "KSampler", "queue_running")
        )
        + "}"
    ),
    "nan": json("NaN"),
    "an integer of 5,000 digits": json("1" * 5000),
    "integers of 5,000 digits": json(
        '{"prompt_id": ' + "1" * 5000 + ', "KSampler": {"input": {"x": ' + "9" * 5000 + "}}}"
    ),
    "a number too large": json('{"queue_running": [[1e999, "p"]], "queue_pending": [[-1e999, "p"]]}'),
    "numbers of 400 digits": json('{"queue_running": [], "queue_pending": [[' + "1" * 400 + ', "p"], [2, "q"]]}'),
    "half a surrogate": json('{"prompt_id": "\\ud800", "name": "\\udfff", "a": NaN}'),
    "null": json("null"),
    "a string": json('"yes"'),
    "a number": json("7"),
    "true": json("true"),
    "a list": json("[1, null, {}]"),
    "a list of lists": json("[[], [[]], {}]"),
    "fields of wrong types": json(
        '{"prompt_id": 7, "node_errors": "x", "queue_running": {}, "queue_pending": 1, "system": [], "name": []}'
    ),
    "fields of null": json('{"prompt_id": null, "node_errors": null, "queue_running": null, "name": null}'),
    "refused without sense": replying(http(b'{"error": {"type": 5}, "node_errors": 3}', status=b"400 Bad"), leave=True),
    "refused for nodes that are not there": replying(
        http(
            b'{"error": "x", "node_errors": {"999": {"errors": [{"type": "required_input_missing"}]}}}',
            status=b"400 Bad",
        ),
        leave=True,
    ),
    "refused with deep reasons": replying(
        http(
            b'{"node_errors": {"3": {"errors": [{"type": "value_not_in_list", "extra_info": {"received_value": '
            + b"[" * 500
            + b"]" * 500
            + b"}}]}}}",
            status=b"400 Bad",
        ),
        leave=True,
    ),
    "a page that says 500": replying(http(HTML, status=b"500 Broken"), leave=True),
    "a page that says 413": replying(http(HTML, status=b"413 Large"), leave=True),
}
"""What a server may answer to any question. No verb may raise anything for it but `ConnectionLost` and `Refused`."""
