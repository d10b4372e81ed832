"""A prompt in the queue, and what history will say of it."""

from __future__ import annotations

from msgspec import Struct, field

from app.ports import Graph, Json


class Prompt(Struct, kw_only=True):
    """A prompt as it lies in the queue."""

    number: float
    prompt_id: str
    graph: Graph
    extra_data: dict[str, Json]
    outputs: list[str]

    @property
    def client_id(self) -> str | None:
        """Whom its frames are for."""
        client = self.extra_data.get("client_id")
        return client if isinstance(client, str) else None

    def item(self) -> list[Json]:
        """The 5-tuple of /queue and /history."""
        graph: dict[str, Json] = {node: dict(entry) for node, entry in self.graph.items()}
        return [self.number, self.prompt_id, graph, self.extra_data, list[Json](self.outputs)]


class Outcome(Struct):
    """What history will say."""

    status: str = "success"
    outputs: dict[str, Json] = {}
    messages: list[Json] = field(default_factory=list[Json])
