"""Runs the effects that the core asks for and returns their results to the registry, which gives each its own task."""

from __future__ import annotations

import copy
import errno
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import assert_never

import anyio
import structlog
from msgspec import Struct

from app.actors import commands
from app.actors.connection import Connection
from app.actors.uploads import Uploads
from app.boundary import log_failure, report_failure
from app.core.effects import (
    CancelPrompt,
    CommandEnded,
    DiscardFiles,
    Effect,
    EffectResult,
    ExpectServer,
    FetchFile,
    FetchInterrupted,
    FileFetched,
    HistoryRead,
    ImageSaved,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    QueryServer,
    ReadHistory,
    Reconnect,
    RunCommand,
    SaveImage,
    SaveInterrupted,
    ServerQueried,
    SubmitPrompt,
    SubmitUncertain,
    Unreachable,
)
from app.core.jobs.job import JobRequest, Upload
from app.events import ChosenModel, NodeId, PromptId, ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, Graph, History, Json, OtherDisks, Refused, RunSync, Ticket
from app.reasons import Reason
from app.reasons.jobs import InputUnreadable, InternalError, JobReason, ResultUnwritable, log_fields
from app.reasons.servers import (
    NoChoices,
    NodeDamaged,
    NodesInvalid,
    RefusedConnection,
    ResultGone,
    ResultTooLarge,
    TooManyRequests,
    UnknownHost,
    ValueNotListed,
)
from app.workflows.nodes.definitions import Input

logger = structlog.stdlib.get_logger(__name__)


class Completion:
    """Completes graphs for one server. What the server listed earlier counts until it refuses a graph."""

    def __init__(self, comfy: Comfy, nodes: NodeCache, run_sync: RunSync, others: OtherDisks | None = None) -> None:
        """`others` are the disks that may have files which this one lacks."""
        self.comfy = comfy
        self._nodes = nodes
        self._others = others
        self._uploads = Uploads(comfy, run_sync)

    async def complete(self, request: JobRequest) -> Graph:
        """A job's graph with the names of its uploaded files, and the server's first model for each input left open.

        It shares with the request what is not changed. Raises `ConnectionLost`, `Refused`, and `OSError` for a file
        that cannot be read.
        """
        graph = dict(request.graph)
        for node in {each.node for each in (*request.uploads, *request.choices)}:
            graph[node] = copy.deepcopy(graph[node])
        await self._send(request.uploads, graph)
        await self._choose(request, graph)
        return graph

    async def mend(self, request: JobRequest, graph: Graph, refusal: Refused) -> bool:
        """Fix what the server refused, in place, where its own lists say how. Returns True if the graph changed.

        The server's lists may have changed, and its nodes may be newer than the workflow: missing inputs get the
        server's defaults. Values that the user chose are not changed, but a file that this server has in another folder
        is found there, and an upload that it does not have any more is sent again. Raises `ConnectionLost`, `Refused`,
        and `OSError` for a file that cannot be read.
        """
        before, missing = copy.deepcopy(graph), refusal.missing
        gone = [upload for upload in request.uploads if (upload.node, upload.input) in refusal.unusable]
        self.forget(gone, graph)
        await self._send(gone, graph)
        unlisted = _unlisted(graph, refusal.reason)
        nodes = [choice.node for choice in request.choices]
        nodes += [node for node, _ in (*missing, *unlisted)]
        for kind in dict.fromkeys(_kind(graph, node) for node in nodes):
            await self._nodes.node(kind, max_age=0.0)
        await self._choose(request, graph)
        for node, name in missing:
            known = await self._input(graph, node, name)
            if known is None or known.default is None:
                return False
            _inputs(graph, node)[name] = known.default
        for node, name in unlisted:
            await self._find_elsewhere(graph, node, name)
        return bool(gone) or graph != before

    def forget(self, uploads: Sequence[Upload], graph: Graph) -> None:
        """Send these uploads of a graph again when they are needed next."""
        self._uploads.forget({str(_inputs(graph, upload.node).get(upload.input)) for upload in uploads})

    async def _send(self, uploads: Sequence[Upload], graph: Graph) -> None:
        if self._others is not None:
            await self._others.bring([upload.path for upload in uploads], BROUGHT_WITHIN)
        for upload in uploads:
            _inputs(graph, upload.node)[upload.input] = await self._uploads.send(Path(upload.path))

    async def _find_elsewhere(self, graph: Graph, node: NodeId, name: str) -> None:
        """Replace the name of a file by the only one in the server's list that differs in its folder alone."""
        known, inputs = await self._input(graph, node, name), _inputs(graph, node)
        choices = (choice for choice in (known.choices if known else None) or () if isinstance(choice, str))
        same = [choice for choice in choices if _base_name(choice) == _base_name(str(inputs[name]))]
        if len(same) == 1:
            inputs[name] = same[0]

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


def _chosen(request: JobRequest, graph: Graph) -> tuple[ChosenModel, ...]:
    """What the inputs that a request leaves open are in its completed graph."""
    return tuple(
        ChosenModel(choice.node, choice.input, str(_inputs(graph, choice.node)[choice.input]))
        for choice in request.choices
    )


def _unlisted(graph: Graph, reason: Reason) -> list[tuple[NodeId, str]]:
    """The inputs whose values the server does not list, according to its refusal."""
    problems = reason.problems if isinstance(reason, NodesInvalid) else ()
    values = {(problem.input, problem.value) for problem in problems if isinstance(problem, ValueNotListed)}
    return [
        (NodeId(node), name)
        for node in graph
        for name, value in _inputs(graph, node).items()
        if isinstance(value, str) and (name, value) in values
    ]


def _base_name(path: str) -> str:
    """The name of a file without its folder; ComfyUI on Windows lists backslashes."""
    return PurePosixPath(path.replace("\\", "/")).name


def _kind(graph: Graph, node: NodeId) -> str:
    return str(graph[node].get("class_type"))


def _inputs(graph: Graph, node: str) -> dict[str, Json]:
    inputs = graph[node].setdefault("inputs", {})
    if not isinstance(inputs, dict):
        raise Refused(NodeDamaged(node))
    return inputs


BROUGHT_WITHIN = 60.0
"""Seconds within which the input files of a job are copied that only another disk has."""

HISTORY_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each reading of a history that should exist: it was seen 270 ms late (measured, T14)."""

HISTORY_SECONDS = 10.0
"""Seconds for one history that is read alone. The queue was answered just before, so the server itself is not slow."""

HISTORIES_AT_ONCE = 4
"""Histories that are read alone at the same time: one that hangs must not hold up the others."""

UNSENT = (RefusedConnection, UnknownHost, TooManyRequests)
"""Why a connection was lost before a request could be sent; after all others the server may have it."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The errors of a disk without room: waiting helps."""

ASKING = 10.0
"""Seconds for a server to say whether it has prompts before it is stopped. One that hangs is stopped."""

FEW = 4
"""Up to this many histories are requested singly; more are requested at once, which may return other clients' too."""

OTHERS = 32
"""How many prompts of other clients are expected to have ended since; one history entry is a few kB."""


class EffectRunner:
    """Runs effects. Expected errors become effect results and are not raised.

    The servers in `comfies`, `nodes` and `connections` may come and go. Unless `wait_for_disk`, a result for which the
    disk has no room is given up. `run_command` runs what starts and stops servers. `others` are the disks that may have
    files which this one lacks. While `is_suspended` says that another process may continue the jobs, nothing is
    submitted.
    """

    def __init__(
        self,
        comfies: Mapping[ServerName, Comfy],
        nodes: Mapping[ServerName, NodeCache],
        connections: Mapping[ServerName, Connection],
        *,
        run_sync: RunSync,
        wait_for_disk: bool = True,
        run_command: commands.RunCommand = commands.run_command,
        others: OtherDisks | None = None,
        is_suspended: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_suspended = is_suspended
        self._run_command = run_command
        self._others = others
        self._comfies = comfies
        self._nodes = nodes
        self._completions: dict[ServerName, Completion] = {}
        self._connections = connections
        self._run_sync = run_sync
        self._wait_for_disk = wait_for_disk

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
            case SaveImage():
                return await self._save(effect)
            case Reconnect(server=server):
                if (connection := self._connections.get(server)) is not None:
                    connection.reconnect()
                return None
            case ExpectServer(server=server, expected=expected):
                if (connection := self._connections.get(server)) is not None:
                    connection.expect(expected)
                return None
            case RunCommand():
                return await self._command(effect)
            case DiscardFiles(paths=paths):
                for path in paths:
                    with suppress(OSError):
                        await self._run_sync(Path(path).unlink)
                return None
            case _:
                assert_never(effect)

    def _completion(self, server: ServerName) -> Completion:
        """What completes prompts for a server. One that was removed and added again may have lost its uploads."""
        comfy, completion = self._comfies[server], self._completions.get(server)
        if completion is None or completion.comfy is not comfy:
            completion = self._completions[server] = Completion(
                comfy, self._nodes[server], self._run_sync, self._others
            )
        return completion

    async def _command(self, effect: RunCommand) -> CommandEnded:
        """Run a command, unless it would stop a server that has prompts, perhaps other clients'."""
        if effect.action == "stop":
            with anyio.move_on_after(ASKING), suppress(ConnectionLost, Refused):
                queue = await self._comfies[effect.server].queue()
                if queue.running or queue.pending:
                    return CommandEnded(effect, busy=True)
        logger.info("a command is run", server=effect.server, action=effect.action, program=effect.command[0])
        problem = await self._run_command(effect.command)
        if problem is not None:
            logger.warning("a command failed", server=effect.server, action=effect.action, **log_fields(problem))
        return CommandEnded(effect, problem)

    async def _submit(self, effect: SubmitPrompt) -> EffectResult:
        completion = self._completion(effect.server)
        sent = False

        async def submit(graph: Graph) -> Ticket:
            nonlocal sent
            if self._is_suspended():
                # This process may have stood still since the prompt was recorded, and another one has the job by now.
                raise ConnectionLost(RefusedConnection())
            sent = True
            return await completion.comfy.submit(effect.prompt, graph, paid=effect.request.is_paid)

        try:
            graph = await completion.complete(effect.request)
            try:
                ticket = await submit(graph)
            except Refused as refusal:
                # The job's own graph stays as it is.
                graph = copy.deepcopy(graph)
                # After a 5xx the prompt may run anyway, so nothing else is sent.
                if not refusal.certain or not await completion.mend(effect.request, graph, refusal):
                    raise
                ticket = await submit(graph)
            if ticket.dropped:
                # The server runs the rest of the graph. Whether a missing upload is the cause is not known here.
                completion.forget(effect.request.uploads, graph)
            return PromptSubmitted(effect, ticket, _chosen(effect.request, graph))
        except OSError as error:
            return PromptRefused(effect, InputUnreadable(error.strerror or ""), certain=True)
        except Refused as refusal:
            return PromptRefused(effect, refusal.reason, refusal.certain, sent)
        except ConnectionLost as loss:
            return SubmitUncertain(effect, loss.reason, sent and not isinstance(loss.reason, UNSENT))

    async def _query(self, effect: QueryServer) -> EffectResult:
        """Query a server: the queue first, because a prompt that leaves it in between is in the history by then."""
        comfy = self._comfies[effect.server]
        try:
            queue = await comfy.queue()
        except ConnectionLost as loss:
            return Unreachable(effect, loss.reason)
        except Refused as refusal:
            read = await _histories(comfy, list(effect.asked))
            return Unreachable(effect, refusal.reason, read.histories)
        queued = {*queue.running, *queue.pending}
        read = await _histories(comfy, [prompt for prompt in effect.asked if prompt not in queued])
        return ServerQueried(effect, queue, read.histories, read.failures, frozenset(read.unread))

    async def _read_history(self, effect: ReadHistory) -> EffectResult:
        for pause in HISTORY_PAUSES:
            if pause:
                await anyio.sleep(pause)
            try:
                history = await self._comfies[effect.server].history(effect.prompt)
            except (ConnectionLost, Refused):
                break
            if history is not None:
                return HistoryRead(effect, history)
        return HistoryRead(effect, None)

    async def _fetch(self, effect: FetchFile) -> EffectResult:
        """Try once; a server keeps its output files over a restart (measured, T18)."""
        try:
            await self._comfies[effect.server].fetch(effect.file, Path(effect.path))
        except ConnectionLost as loss:
            return FetchInterrupted(effect, loss.reason)
        except Refused as refusal:
            if isinstance(refusal.reason, (ResultGone, ResultTooLarge)):
                return FileFetched(effect, refusal.reason)
            # Any other answer, such as a 5xx or a redirect, says nothing about the file.
            return FetchInterrupted(effect, refusal.reason)
        except OSError as error:
            if error.errno in FULL and self._wait_for_disk:
                return FetchInterrupted(effect, disk_full=True)
            return FileFetched(effect, ResultUnwritable(error.strerror or "", Path(effect.path).name))
        return FileFetched(effect)

    async def _save(self, effect: SaveImage) -> EffectResult:
        await anyio.sleep(effect.pause)
        try:
            await self._run_sync(_write, effect.image, Path(effect.path))
        except OSError as error:
            problem = ResultUnwritable(error.strerror or "", Path(effect.path).name)
            if error.errno in FULL and self._wait_for_disk:
                return SaveInterrupted(effect, problem)
            return ImageSaved(effect, problem)
        return ImageSaved(effect)


class _Readings(Struct):
    """The histories that exist, the prompts whose history cannot be read, and reasons to fail jobs."""

    histories: dict[PromptId, History] = {}
    unread: set[PromptId] = set()
    failures: dict[PromptId, JobReason] = {}


async def _histories(comfy: Comfy, prompts: Sequence[PromptId]) -> _Readings:
    """Read the histories of these prompts; what is wrong with one of them concerns only its own job."""
    if len(prompts) > FEW:
        try:
            return _Readings(await _newest(comfy, prompts))
        except (ConnectionLost, Refused):
            pass
        except Exception as error:  # noqa: BLE001  logged; single readings show which history it is
            report_failure(error, "many histories at once could not be read")
    readings = _Readings()
    lanes = anyio.Semaphore(HISTORIES_AT_ONCE)
    async with anyio.create_task_group() as tasks:
        for prompt in prompts:
            tasks.start_soon(_read_alone, comfy, prompt, lanes, readings, name=f"history {prompt}")
    return readings


async def _read_alone(comfy: Comfy, prompt: PromptId, lanes: anyio.Semaphore, readings: _Readings) -> None:
    async with lanes:
        with anyio.move_on_after(HISTORY_SECONDS) as scope:
            try:
                if (history := await comfy.history(prompt)) is not None:
                    readings.histories[prompt] = history
            except (ConnectionLost, Refused):
                readings.unread.add(prompt)
            except Exception as error:  # noqa: BLE001  the boundary of one job's history
                reason = InternalError(log_failure(error, "a history could not be read", prompt=prompt))
                readings.failures[prompt] = reason
        if scope.cancelled_caught:
            readings.unread.add(prompt)


async def _newest(comfy: Comfy, prompts: Sequence[PromptId]) -> dict[PromptId, History]:
    """Read the newest histories at once, more of them until ours are included or there are no more.

    Ours are usually among those that ended last, unless many prompts of other clients ended after them.
    """
    count = len(prompts) + OTHERS
    while True:
        newest = await comfy.newest(count)
        histories = {prompt: newest[prompt] for prompt in prompts if prompt in newest}
        if len(histories) == len(prompts) or len(newest) < count:
            return histories
        count *= 4


def _write(image: bytes, path: Path) -> None:
    """Write an image completely or not at all. Raises `OSError`."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(image)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
