"""What the engine has, and what its commands and our scripts do to it. Pure, but for the clock that it is given.

`tests/engine/test_model.py` gives the same commands to this and to a real Valkey, and compares the answers.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence

import anyio
from msgspec import Struct, field
from msgspec.structs import replace

from app.engine import scripts
from app.engine.connection import NEWEST, Argument, Entry
from app.engine.replication import scripts as replication

REMEMBERED = 2.0
"""Seconds for which earlier states are kept, to which a failover may return."""

APART = 0.1
"""Seconds between two states that are kept."""


class Stream(Struct):
    """The entries of a stream by their ids, and the last id that it has given."""

    entries: dict[tuple[int, int], bytes] = field(default_factory=dict[tuple[int, int], bytes])
    last: tuple[int, int] = (0, 0)


class Contents(Struct):
    """Everything that the engine has. Times of expiry are seconds of its clock."""

    values: dict[str, bytes] = field(default_factory=dict[str, bytes])
    streams: dict[str, Stream] = field(default_factory=dict[str, Stream])
    ends: dict[str, float] = field(default_factory=dict[str, float])

    def copy(self) -> Contents:
        """The same, independent of this."""
        streams = {key: replace(stream, entries=dict(stream.entries)) for key, stream in self.streams.items()}
        return Contents(dict(self.values), streams, dict(self.ends))


class EngineFull(Exception):
    """The engine refuses what needs memory, and keeps what a script has done before."""


class EngineModel:
    """Owns the contents. `clock` returns seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.changed = anyio.Event()
        """Set when a stream has got an entry; then there is a new one."""
        self.is_full = False
        """Whether it refuses commands that need memory."""
        self._contents = Contents()
        self._earlier: list[tuple[float, Contents]] = []
        self._scripts: dict[str, Callable[[Sequence[str], Sequence[Argument]], object]] = {
            scripts.RENEW: self._renew,
            scripts.RELEASE: self._release,
            scripts.ADD: self._add,
            scripts.ADD_WHILE_HELD: self._add_while_held,
            scripts.REPLACE: self._replace,
            scripts.CLAIM: self._claim,
            scripts.LEASES: self._leases,
            replication.ACQUIRE: self._acquire,
            replication.REGAIN: self._regain,
            replication.PUBLISH: self._publish,
            replication.ANNOUNCE: self._announce,
            replication.WAITING: self._waiting,
        }

    def fail_over(self, seconds: float) -> None:
        """Forget what was done in the last seconds, at most `REMEMBERED`: a replica that was behind takes over."""
        since = self.clock() - seconds
        # Each is what there was before the next change.
        later = [contents for at, contents in self._earlier if at >= since]
        if later:
            self._contents = later[0].copy()
        self._earlier = [(at, contents) for at, contents in self._earlier if at < since]

    def flush(self) -> None:
        """Forget everything."""
        self._contents = Contents()
        self._earlier.clear()

    def _now(self) -> float:
        """The time, at which what has expired is gone."""
        now, contents = self.clock(), self._contents
        for key in [key for key, end in contents.ends.items() if end <= now]:
            self._drop(key)
        return now

    def _change(self) -> Contents:
        """The contents, which are about to be changed."""
        now = self._now()
        if not self._earlier or now >= self._earlier[-1][0] + APART:
            self._earlier = [(at, state) for at, state in self._earlier if at > now - REMEMBERED]
            self._earlier.append((now, self._contents.copy()))
        return self._contents

    def _drop(self, key: str) -> bool:
        contents = self._contents
        contents.ends.pop(key, None)
        is_value, stream = contents.values.pop(key, None) is not None, contents.streams.pop(key, None)
        return is_value or stream is not None

    def _make_room(self) -> None:
        if self.is_full:
            raise EngineFull("OOM command not allowed when used memory > 'maxmemory'.")

    def _exists(self, key: str) -> bool:
        self._now()
        return key in self._contents.values or key in self._contents.streams

    def set(self, key: str, value: bytes, milliseconds: int | None, *, only_new: bool = False) -> bool:
        """SET with PX, and NX."""
        contents = self._change()
        self._make_room()
        if only_new and self._exists(key):
            return False
        self._drop(key)
        contents.values[key] = value
        if milliseconds is not None:
            contents.ends[key] = self.clock() + milliseconds / 1000
        return True

    def get(self, key: str) -> bytes | None:
        """GET."""
        self._now()
        return self._contents.values.get(key)

    def take(self, key: str) -> bytes | None:
        """GETDEL."""
        self._change()
        value = self._contents.values.get(key)
        self._drop(key)
        return value

    def delete(self, keys: Sequence[str]) -> int:
        """DEL."""
        self._change()
        return sum(self._drop(key) for key in keys)

    def expire(self, key: str, milliseconds: int) -> bool:
        """PEXPIRE."""
        contents = self._change()
        if not self._exists(key):
            return False
        contents.ends[key] = self.clock() + milliseconds / 1000
        return True

    def keys(self, pattern: str) -> list[str]:
        """SCAN to its end."""
        self._now()
        known = [*self._contents.values, *self._contents.streams]
        return sorted(key for key in known if fnmatch.fnmatchcase(key, pattern))

    def read(self, positions: Mapping[str, str], most: int) -> dict[str, list[Entry]]:
        """XREAD without BLOCK; no position may be `NEWEST`."""
        assert NEWEST not in positions.values()
        read = {key: self.range(key, f"({position}", "+", most) for key, position in positions.items()}
        return {key: entries for key, entries in read.items() if entries}

    def range(self, key: str, start: str, end: str, most: int | None) -> list[Entry]:
        """XRANGE."""
        self._now()
        stream = self._contents.streams.get(key, Stream())
        entries = [
            Entry(f"{at[0]}-{at[1]}", data) for at, data in stream.entries.items() if _is_between(at, start, end)
        ]
        return entries[:most]

    def remove(self, key: str, entries: Sequence[str]) -> int:
        """XDEL."""
        stream = self._change().streams.get(key, Stream())
        return sum(stream.entries.pop(_id(entry), None) is not None for entry in entries)

    def script(self, source: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        """EVAL of one of our scripts."""
        self._change()
        return self._scripts[source](keys, arguments)

    def _append(self, key: str, identifier: tuple[int, int] | None, longest: int, data: bytes) -> str:
        """XADD with MAXLEN. The real one trims later, and then as much."""
        self._make_room()
        stream = self._contents.streams.setdefault(key, Stream())
        if identifier is None:
            now = int(self.clock() * 1000)
            identifier = (now, 0) if now > stream.last[0] else (stream.last[0], stream.last[1] + 1)
        assert identifier > stream.last
        stream.last = identifier
        stream.entries[identifier] = data
        while len(stream.entries) > longest:
            del stream.entries[next(iter(stream.entries))]
        self.changed.set()
        self.changed = anyio.Event()
        return f"{identifier[0]}-{identifier[1]}"

    def _renew(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        return int(self.get(keys[0]) == _bytes(arguments[0]) and self.expire(keys[0], int(arguments[1])))

    def _release(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        return int(self.get(keys[0]) == _bytes(arguments[0]) and self._drop(keys[0]))

    def _add(self, keys: Sequence[str], arguments: Sequence[Argument]) -> bytes:
        identifier = self._append(keys[0], None, int(arguments[0]), _bytes(arguments[2]))
        if int(arguments[1]):
            self.expire(keys[0], int(arguments[1]))
        return identifier.encode()

    def _add_while_held(self, keys: Sequence[str], arguments: Sequence[Argument]) -> bytes:
        return self._add(keys, arguments) if self.get(keys[1]) == _bytes(arguments[3]) else b""

    def _replace(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        is_ours = self.get(keys[0]) == _bytes(arguments[0])
        return int(is_ours and self.set(keys[0], _bytes(arguments[1]), int(arguments[2])))

    def _claim(self, keys: Sequence[str], arguments: Sequence[Argument]) -> bytes:
        entry = _bytes(arguments[1]).decode()
        if not self.remove(keys[1], [entry]):
            return b"withdrawn"
        if _bytes(arguments[0]) not in (self.get(keys[0]) or b""):
            return b"lost"
        age = int(self.clock() * 1000) - _id(entry)[0]
        return b"late" if age > int(arguments[2]) else b"claimed"

    def _leases(self, keys: Sequence[str], arguments: Sequence[Argument]) -> list[bytes | int]:
        answer: list[bytes | int] = []
        for key in keys:
            ends = self._contents.ends.get(key)
            left = -2 if not self._exists(key) else -1 if ends is None else round((ends - self.clock()) * 1000)
            # GETRANGE includes the last position.
            answer += [(self.get(key) or b"")[: int(arguments[0]) + 1], left]
        return answer

    def _acquire(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        if self._exists(keys[0]) or (self.get(keys[1]) or b"") != _bytes(arguments[0]):
            return 0
        epoch = max(int(self.get(keys[2]) or 0), int(arguments[1])) + 1
        self.set(keys[2], str(epoch).encode(), None)
        self.set(keys[0], f"{epoch} ".encode() + _bytes(arguments[2]), int(arguments[3]))
        return epoch

    def _regain(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        if self._exists(keys[0]) or int(self.get(keys[1]) or arguments[3]) > int(arguments[1]):
            return 0
        self.set(keys[1], _bytes(arguments[1]), None)
        self.set(keys[0], _bytes(arguments[0]), int(arguments[2]))
        return 1

    def _publish(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        if self.get(keys[0]) != _bytes(arguments[0]):
            return 0
        parts = (self.get(keys[2]) or b"").split(b" ")
        head = int(parts[1]) if len(parts) == 3 else 0
        for number, data in zip(arguments[3::2], arguments[4::2], strict=True):
            if int(number) > head:
                self._append(keys[1], (int(number), 0), int(arguments[2]), _bytes(data))
        self.set(keys[2], _bytes(arguments[1]), None)
        return 1

    def _announce(self, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        if self.get(keys[0]) != _bytes(arguments[0]):
            return 0
        if self.get(keys[2]) != _bytes(arguments[1]):
            self._drop(keys[1])
        self.set(keys[2], _bytes(arguments[1]), None)
        return 1

    def _waiting(self, keys: Sequence[str], _: Sequence[Argument]) -> int:
        return sum(map(self._exists, keys))


def _bytes(argument: Argument) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


def _id(text: str) -> tuple[int, int]:
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


def _is_between(at: tuple[int, int], start: str, end: str) -> bool:
    after = start == "-" or (at > _id(start[1:]) if start.startswith("(") else at >= _id(start))
    return after and (end == "+" or (at < _id(end[1:]) if end.startswith("(") else at <= _id(end)))
