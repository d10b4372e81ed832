"""What each server says about its node classes (`/object_info`): decoded and cached in one place."""

from __future__ import annotations

import anyio

from app.ports import Comfy
from app.workflows.nodes.definitions import Definition, Definitions
from app.workflows.nodes.replacements import read_replacements

FRESH = 60.0
"""Seconds for which the lists of a class stay valid while people choose from them: new models are rare, and every
keystroke asks."""


class NodeCache:
    """Caches the node definitions of one server. Its methods raise `ConnectionLost` and `Refused`."""

    def __init__(self, comfy: Comfy) -> None:
        self._comfy = comfy
        self._known = Definitions({})
        self._all_read_at: float | None = None
        self._read_at: dict[str, float] = {}

    @property
    def definitions(self) -> Definitions | None:
        """All node classes of the server; None until it has listed them. A new object whenever one has changed."""
        return self._known if self._all_read_at is not None else None

    @property
    def known(self) -> Definitions:
        """The node classes that were read so far, all or only some."""
        return self._known

    async def read_all(self) -> Definitions:
        """Ask the server for all its node classes, and for those that it replaces."""
        replacements = read_replacements(await self._comfy.replacements())
        # What is known now counts, and not what was known before the answer: several requests may be under way.
        nodes = await self._comfy.nodes()
        self._known = self._known.updated(nodes, replacements)
        self._all_read_at = anyio.current_time()
        self._read_at.clear()
        return self._known

    async def node(self, class_type: str, *, max_age: float = FRESH) -> Definition | None:
        """A node class, read from the server if it is not known or was read `max_age` seconds ago or earlier.

        None if the server does not have it.
        """
        read_at = self._read_at.get(class_type, self._all_read_at)
        if read_at is None or anyio.current_time() - read_at >= max_age:
            node = await self._comfy.node(class_type)
            self._known = self._known.with_node(class_type, node)
            self._read_at[class_type] = anyio.current_time()
        return self._known.get(class_type)
