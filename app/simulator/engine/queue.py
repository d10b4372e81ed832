"""The queue and the history (T07, T12, T19)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TypeAlias

import anyio

from app.ports import Graph, Json

KEPT = 10_000
"""The number of history entries that ComfyUI keeps."""

Item: TypeAlias = tuple[float, str, Graph, dict[str, Json], list[str]]
"""number, prompt_id, prompt, extra_data, outputs_to_execute."""


SECRET_EXTRA = ("auth_token_comfy_org", "api_key_comfy_org")
"""The extra data that pays for a prompt. ComfyUI keeps it out of the history, and 0.33 out of /queue as well
(execution.py and server.py: SENSITIVE_EXTRA_DATA_KEYS)."""


class Prompts:
    """Owns the waiting, running and ended prompts. `changed` is called where ComfyUI sends `status`."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._heap: list[tuple[float, str, int, Item]] = []
        self._arrivals = 0
        self._arrived = anyio.Event()
        self._counter = 0
        self.running: Item | None = None
        self.history: dict[str, Json] = {}

    @property
    def remaining(self) -> int:
        """The number of pending and running prompts, as in `status`."""
        return len(self._heap) + (self.running is not None)

    def number(self, requested: Json, *, front: bool) -> float:
        """Return the number of a new prompt: the one asked for, else a counter that also counts failed requests.

        Raises `ValueError` or `TypeError` if `requested` is not a number.
        """
        if requested is not None:
            if isinstance(requested, (list, dict)):
                raise TypeError(requested)
            return float(requested)
        number = -self._counter if front else self._counter
        self._counter += 1
        return number

    def put(self, item: Item) -> None:
        """Queue a prompt.

        Raises `TypeError` if a prompt of the same number and id is queued, but queues the new one nonetheless:
        ComfyUI's heap then compares the prompts themselves, which cannot be compared (T19).
        """
        twin = any(number == item[0] and prompt == item[1] for number, prompt, _, _ in self._heap)
        self._arrivals += 1
        heapq.heappush(self._heap, (item[0], item[1], self._arrivals, item))
        self._arrived.set()
        if twin:
            raise TypeError("'<' not supported between instances of 'dict' and 'dict'")
        self._changed()

    async def take(self) -> Item:
        """Wait for the next prompt, and mark it as running."""
        while not self._heap:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        self.running = heapq.heappop(self._heap)[3]
        self._changed()
        return self.running

    def finish(self, entry: Json) -> None:
        """Move the running prompt to the history."""
        if self.running is None:
            return
        while len(self.history) >= KEPT:
            del self.history[next(iter(self.history))]
        self.history[self.running[1]] = entry
        self.running = None
        self._changed()

    def pending(self) -> Sequence[Item]:
        """Return the pending prompts as GET /queue lists them: in the heap's order, not the order of execution."""
        return [item for *_, item in self._heap]

    def delete(self, prompt: str) -> bool:
        """Delete a pending prompt; deleting the last one clears the queue and sends `status` twice."""
        for index, (_, waiting, _, _) in enumerate(self._heap):
            if waiting == prompt:
                if len(self._heap) == 1:
                    self.clear()
                else:
                    del self._heap[index]
                    heapq.heapify(self._heap)
                self._changed()
                return True
        return False

    def clear(self) -> None:
        """Delete all pending prompts, of all clients."""
        self._heap.clear()
        self._changed()

    def listed(self, maximum: int | None, offset: int) -> dict[str, Json]:
        """Return entries for GET /history, the oldest first; a negative `offset` selects the newest `maximum`."""
        if offset < 0 and maximum is not None:
            offset = len(self.history) - maximum
        entries = list(self.history.items())[max(offset, 0) :]
        return dict(entries if maximum is None else entries[:maximum])

    def forget(self) -> None:
        """Drop everything, as when the process dies."""
        self._heap.clear()
        self.history.clear()
        self.running = None
        self._counter = 0
