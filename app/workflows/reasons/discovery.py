"""Why a slot was left out when the slots of a graph were looked for."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.reasons import Reason


class InputPlace(Struct, frozen=True):
    """An input as people know it: by the title of its node. `node_id` is "" if no other node has that title."""

    node: str
    input: str
    node_id: str = ""


class SeveralCandidates(Reason, frozen=True):
    """Several inputs, or groups of inputs, could be the slot."""

    slot: str
    candidates: tuple[tuple[InputPlace, ...], ...]


class UnclearTitle(Reason, frozen=True):
    """The title of a node names a slot, but not which of the node's `inputs` it is."""

    node: str
    slot: str
    inputs: tuple[str, ...]


DiscoveryReason: TypeAlias = SeveralCandidates | UnclearTitle
