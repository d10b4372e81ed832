"""Sends the progress of a prompt's nodes: `progress_state`, `progress` and previews, in the measured order."""

from __future__ import annotations

import anyio
from msgspec import Struct

from app.ports import Json
from app.simulator.engine.clients import Sockets
from app.simulator.http import binary_frames


class Place(Struct, frozen=True):
    """The ids of a node: its own, the node that displays it, the node that created it, and its real id.

    An empty real id means that it is the node's own.
    """

    node: str
    display: str
    parent: str | None = None
    real: str = ""

    @property
    def metadata(self) -> dict[str, Json]:
        """The four ids, under their names in frames."""
        return {
            "node_id": self.node,
            "display_node_id": self.display,
            "parent_node_id": self.parent,
            "real_node_id": self.real or self.node,
        }


PAUSE = 0.1
"""Seconds in which newer versions send at most one step without a preview (0.33: T08_expand)."""

LEAST_CHANGE = 0.005
"""The part of all steps that must be new for that."""


class Progress:
    """Owns the states of one prompt's nodes, and sends every change; with `throttled`, not every step.

    Frames go to the prompt's client; without one they go to all clients, with previews of type 1 even for those that
    negotiated metadata (T22).
    """

    def __init__(self, prompt: str, client: str | None, sockets: Sockets, *, throttled: bool) -> None:
        self._prompt = prompt
        self._client = client
        self._sockets = sockets
        self._throttled = throttled
        self._states: dict[str, dict[str, Json]] = {}
        self._sent: dict[str, tuple[float, int]] = {}
        """When each node's last step was sent, in the event loop's clock, and which step it was."""

    def start(self, place: Place) -> None:
        """Mark a node as running."""
        self._states[place.node] = self._state(place, 0.0, 1.0, "running")
        self._tell()

    def step(self, place: Place, value: int, maximum: int, image: bytes | None, form: int) -> None:
        """Report that a node has done `value` of `maximum` steps, optionally with a preview image.

        A preview of type 4 is sent between `progress_state` and `progress`, one of type 1 after both (T02a, T02b).
        """
        if self._throttled and image is None and self._is_too_soon(place.node, value, maximum):
            return
        self._sent[place.node] = anyio.current_time(), value
        self._states[place.node] = self._state(place, value, maximum, "running")
        self._tell()
        metadata = self._sockets.wants_metadata(self._client)
        if image is not None and metadata:
            ids = {**place.metadata, "prompt_id": self._prompt, "image_type": binary_frames.MEDIA_TYPES[form]}
            self._sockets.push(binary_frames.preview_with_metadata(image, ids), self._client)
        self._sockets.say(
            "progress",
            {"value": value, "max": maximum, "prompt_id": self._prompt, "node": place.node},
            self._client,
        )
        if image is not None and not metadata:
            self._sockets.push(binary_frames.preview(image, form), self._client)

    def finish(self, place: Place) -> None:
        """Mark a node as finished, because it ran or was cached."""
        state = self._states.setdefault(place.node, self._state(place, 0, 1, "pending"))
        state["state"] = "finished"
        state["value"] = state["max"]
        self._tell()

    def _is_too_soon(self, node: str, value: int, maximum: int) -> bool:
        if node not in self._sent or value >= maximum:
            return False
        moment, last = self._sent[node]
        # Virtual time adds up fractions, which makes some pauses a trace too short.
        return anyio.current_time() - moment < PAUSE - 1e-6 or value - last < LEAST_CHANGE * maximum

    def _tell(self) -> None:
        nodes: dict[str, Json] = dict(self._states)
        self._sockets.say("progress_state", {"prompt_id": self._prompt, "nodes": nodes}, self._client)

    def _state(self, place: Place, value: float, maximum: float, state: str) -> dict[str, Json]:
        return {
            "value": value,
            "max": maximum,
            "state": state,
            "prompt_id": self._prompt,
            **place.metadata,
        }
