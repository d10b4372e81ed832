"""Runs the effects that the core asks for and returns their results to the registry, which gives each its own task."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

import anyio

from app.actors.connection import Connection
from app.backoff import Pauses, backoff
from app.boundary import log_failure, report_failure
from app.core.effects import (
    CancelPrompt,
    Effect,
    EffectResult,
    FetchFile,
    FileFetched,
    HistoryRead,
    ImageSaved,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    QueryServer,
    ReadHistory,
    Reconnect,
    SaveImage,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Unreachable,
)
from app.core.job import JobRequest
from app.events import NodeId, PromptId, ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, Graph, History, Json, Refused, RunSync
from app.reasons.jobs import InputUnreadable, InternalError, JobReason, ResultUnwritable
from app.reasons.servers import NoChoices, NodeDamaged
from app.workflows.node_definitions import Input


class Completion:
    """Completes graphs for one server. What the server listed earlier counts until it refuses a graph."""

    def __init__(self, comfy: Comfy, nodes: NodeCache) -> None:
        self._comfy = comfy
        self._nodes = nodes

    async def complete(self, request: JobRequest) -> Graph:
        """A job's graph with the names of its uploaded files, and the server's first model for each input left open.

        Raises `ConnectionLost`, `Refused`, and `OSError` for a file that cannot be read.
        """
        graph = copy.deepcopy(request.graph)
        for upload in request.uploads:
            _inputs(graph, upload.node)[upload.input] = await self._comfy.upload(Path(upload.path))
        await self._choose(request, graph)
        return graph

    async def mend(self, request: JobRequest, graph: Graph, missing: Sequence[tuple[NodeId, str]]) -> bool:
        """Fix refused defaults (stale model lists, missing inputs) in place. Returns True if the graph changed.

        The server's lists may have changed, and its nodes may be newer than the workflow: `missing` inputs get the
        server's defaults. Values that the user chose are not changed. Raises `ConnectionLost` and `Refused`.
        """
        before = copy.deepcopy(graph)
        nodes = [*(choice.node for choice in request.choices), *(node for node, _ in missing)]
        for kind in dict.fromkeys(_kind(graph, node) for node in nodes):
            await self._nodes.node(kind, max_age=0.0)
        await self._choose(request, graph)
        for node, name in missing:
            known = await self._input(graph, node, name)
            if known is None or known.default is None:
                return False
            _inputs(graph, node)[name] = known.default
        return graph != before

    async def _choose(self, request: JobRequest, graph: Graph) -> None:
        for choice in request.choices:
            known = await self._input(graph, choice.node, choice.input)
            if known is None or not known.choices:
                raise Refused(NoChoices(choice.input, _kind(graph, choice.node)))
            _inputs(graph, choice.node)[choice.input] = known.choices[0]

    async def _input(self, graph: Graph, node: NodeId, name: str) -> Input | None:
        """An input as the server listed it, however long ago."""
        definition = await self._nodes.node(_kind(graph, node), max_age=math.inf)
        return definition.inputs.get(name) if definition is not None else None


def _kind(graph: Graph, node: NodeId) -> str:
    return str(graph[node].get("class_type"))


def _inputs(graph: Graph, node: str) -> dict[str, Json]:
    inputs = graph[node].setdefault("inputs", {})
    if not isinstance(inputs, dict):
        raise Refused(NodeDamaged(node))
    return inputs


HISTORY_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each reading of a history that should exist: it was seen 270 ms late (measured, T14)."""

FEW = 4
"""Up to this many histories are requested singly; more are requested at once, which may return other clients' too."""

OTHERS = 32
"""How many prompts of other clients are expected to have ended since; one history entry is a few kB."""


class EffectRunner:
    """Runs effects. Owns the clients of the servers. Expected errors become effect results and are not raised."""

    def __init__(
        self,
        comfies: Mapping[ServerName, Comfy],
        nodes: Mapping[ServerName, NodeCache],
        connections: Mapping[ServerName, Connection],
        *,
        run_sync: RunSync,
        pauses: Pauses = backoff,
    ) -> None:
        self._comfies = comfies
        self._completions = {name: Completion(comfy, nodes[name]) for name, comfy in comfies.items()}
        self._connections = connections
        self._run_sync = run_sync
        self._pauses = pauses

    async def do(self, effect: Effect) -> EffectResult | None:
        """Run one effect and return its result; None if there is nothing to report."""
        match effect:
            case SubmitPrompt():
                return await self._submit(effect)
            case QueryServer():
                return await self._query(effect)
            case ReadHistory():
                return await self._read_history(effect)
            case CancelPrompt(prompt=prompt, server=server):
                try:
                    await self._comfies[server].cancel(prompt)
                except (ConnectionLost, Refused):
                    return PromptCancelled(effect, acknowledged=False)
                return PromptCancelled(effect, acknowledged=True)
            case FetchFile():
                return await self._fetch(effect)
            case SaveImage(image=image, path=path):
                return ImageSaved(effect, await self._run_sync(_write, image, Path(path)))
            case Reconnect(server=server):
                self._connections[server].reconnect()
                return None
            case _:
                assert_never(effect)

    async def _submit(self, effect: SubmitPrompt) -> EffectResult:
        comfy, completion = self._comfies[effect.server], self._completions[effect.server]
        try:
            graph = await completion.complete(effect.request)
            try:
                ticket = await comfy.submit(effect.prompt, graph)
            except Refused as refusal:
                # After a 5xx the prompt may run anyway, so nothing else is sent.
                if not refusal.certain or not await completion.mend(effect.request, graph, refusal.missing):
                    raise
                ticket = await comfy.submit(effect.prompt, graph)
            return PromptSubmitted(effect, ticket)
        except OSError as error:
            return PromptRefused(effect, InputUnreadable(error.strerror or ""), certain=True)
        except Refused as refusal:
            return PromptRefused(effect, refusal.reason, refusal.certain)
        except ConnectionLost as loss:
            return SubmitUncertain(effect, loss.reason)

    async def _query(self, effect: QueryServer) -> EffectResult:
        """Query a server: the queue first, because a prompt that leaves it in between is in the history by then."""
        comfy = self._comfies[effect.server]
        try:
            queue = await comfy.queue()
            queued = {*queue.running, *queue.pending}
            missing = [prompt for prompt in effect.asked if prompt not in queued]
            histories, failures = await _histories(comfy, missing)
        except (ConnectionLost, Refused) as loss:
            return Unreachable(effect, loss.reason)
        return ServerQueried(effect, queue, histories, failures)

    async def _read_history(self, effect: ReadHistory) -> EffectResult:
        for pause in HISTORY_PAUSES:
            await anyio.sleep(pause)
            try:
                history = await self._comfies[effect.server].history(effect.prompt)
            except (ConnectionLost, Refused):
                break
            if history is not None:
                return HistoryRead(effect, history)
        return HistoryRead(effect, None)

    async def _fetch(self, effect: FetchFile) -> EffectResult:
        """Retry until the server answers: it keeps its output files over a restart (measured, T18)."""
        for pause in self._pauses():
            try:
                await self._comfies[effect.server].fetch(effect.file, Path(effect.path))
            except ConnectionLost:
                await anyio.sleep(pause)
            except Refused as refusal:
                return FileFetched(effect, refusal.reason)
            except OSError as error:
                return FileFetched(effect, ResultUnwritable(error.strerror or ""))
            else:
                break
        return FileFetched(effect)


async def _histories(
    comfy: Comfy, prompts: Sequence[PromptId]
) -> tuple[dict[PromptId, History], dict[PromptId, JobReason]]:
    """The histories of these prompts that exist, and why others cannot be read."""
    if len(prompts) > FEW:
        try:
            return await _newest(comfy, prompts), {}
        except (ConnectionLost, Refused):
            raise
        except Exception as error:  # noqa: BLE001  logged; asking one by one finds out whose history it is
            report_failure(error, "many histories at once could not be read")
    histories: dict[PromptId, History] = {}
    failures: dict[PromptId, JobReason] = {}
    for prompt in prompts:
        try:
            history = await comfy.history(prompt)
        except (ConnectionLost, Refused):
            raise
        except Exception as error:  # noqa: BLE001  the boundary of one job's history
            failures[prompt] = InternalError(log_failure(error, "a history could not be read", prompt=prompt))
        else:
            if history is not None:
                histories[prompt] = history
    return histories, failures


async def _newest(comfy: Comfy, prompts: Sequence[PromptId]) -> dict[PromptId, History]:
    """Read the newest histories at once, more of them until ours are included or there are no more.

    Ours are usually among those that ended last, unless many prompts of other clients ended after them.
    """
    count = len(prompts) + OTHERS
    while True:
        newest = await comfy.newest(count)
        found = {prompt: newest[prompt] for prompt in prompts if prompt in newest}
        if len(found) == len(prompts) or len(newest) < count:
            return found
        count *= 4


def _write(image: bytes, path: Path) -> ResultUnwritable | None:
    """Write an image completely or not at all. Returns the problem; None if there is none."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(image)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        return ResultUnwritable(error.strerror or "")
    return None
