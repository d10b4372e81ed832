"""The simulated ComfyUI: all parts of the engine, and its interface in memory."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED, to_thread
from anyio.abc import TaskStatus

from app.ports import ConnectionLost, Json, RunSync, WebSocket
from app.simulator.engine.clients import Listener, Socket, Sockets
from app.simulator.engine.files import Files
from app.simulator.engine.queue import KEPT, Item
from app.simulator.engine.worker import Worker
from app.simulator.faults import Actions, Faults
from app.simulator.http import binary_frames
from app.simulator.http.memory_socket import MemorySocket
from app.simulator.nodes.context import NodeContext
from app.simulator.nodes.definitions import Catalog
from app.simulator.version import V0_3_64, Version


def _no_clock() -> int:
    return 0


class Simulator:
    """A simulated ComfyUI. It works while `run` runs; everything else may be called meanwhile.

    `folder` gets the subfolders input, output and temp. `steps` overrides every sampler's steps; `step_time` is in
    seconds, and `pace` multiplies the seconds of the test nodes; `previews` sends previews as with `--preview-method`,
    unless the prompt chooses; `any_node` accepts unknown classes; `version` is what it acts as; `seed` changes the
    painted images and the ids; `history_gap` is the time in seconds between `execution_success` and the history entry
    (seen: up to 0.27 s, T14); `clock` returns milliseconds for timestamps; `models` replaces folders of the list of
    models.
    """

    def __init__(
        self,
        folder: Path,
        *,
        steps: int | None = None,
        step_time: float = 0.05,
        pace: float = 1.0,
        previews: bool = False,
        any_node: bool = False,
        seed: int = 0,
        version: Version = V0_3_64,
        history_gap: float = 0.02,
        run_sync: RunSync = to_thread.run_sync,
        clock: Callable[[], int] = _no_clock,
        models: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.files = Files(folder)
        self.sockets = Sockets(version.features)
        self.catalog = Catalog(self.files, version, models or {}, any_node=any_node)
        self.run_sync = run_sync
        self.ended_at: dict[str, float] = {}
        """When the end of each prompt was reported, in the event loop's clock; the benchmark measures from it."""
        self.faults = Faults(
            history_gap=history_gap,
            actions=Actions(
                drop=self.sockets.drop,
                deafen=self.sockets.deafen,
                restart=self._restart,
                forget=self._forget,
                stall=self.sockets.stall,
                garbage=self.sockets.garbage,
            ),
        )
        self._dice = random.Random(seed)  # noqa: S311  ids, and letters in the names of temporary files
        salt = f"#{seed}" if seed else ""
        self._context = NodeContext(
            version,
            self.catalog,
            self.files,
            self.sockets,
            run_sync,
            self._dice,
            steps,
            step_time,
            pace,
            previews,
            salt,
        )
        self.worker = Worker(self._context, self.faults, clock=clock, ended=self._ended)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the publisher and the worker until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sockets.publish, name="simulator publishes")
            task_status.started()
            await self.worker.run()

    @property
    def version(self) -> Version:
        """The version that it acts as."""
        return self._context.version

    def act_as(self, version: Version) -> None:
        """Follow the protocol of another version from now on; the node definitions stay."""
        self._context.version = version
        self.sockets.features = version.features

    @property
    def running(self) -> Item | None:
        """The running prompt, or None."""
        return self.worker.prompts.running

    @property
    def pending(self) -> Sequence[Item]:
        """The pending prompts, as GET /queue lists them."""
        return self.worker.prompts.pending()

    @property
    def history(self) -> dict[str, Json]:
        """The history entries of ended prompts, by prompt id."""
        return self.worker.prompts.history

    def submit(self, body: Mapping[str, Json]) -> tuple[int, Json]:
        """Handle POST /prompt: returns the status code and the body; None stands for ComfyUI's text for status 500."""
        answer = self.worker.submit(body)
        return answer.status, answer.body

    @asynccontextmanager
    async def connect(self, client_id: str | None = None) -> AsyncGenerator[WebSocket]:
        """Open a websocket in memory for the duration of the block. Raises `ConnectionLost` if refused."""
        self.faults.admit_socket()
        socket = MemorySocket()
        listener = await self.greet(client_id, socket)

        async def handle(message: str) -> None:
            await self.sockets.hear(listener, message)

        socket.opened(handle)
        try:
            yield socket
        finally:
            self.sockets.leave(listener)
            socket.abort()

    async def greet(self, client_id: str | None, socket: Socket) -> Listener:
        """Register a socket and send it `status`, and the running node if its client's prompt is running (T09)."""
        sid = client_id or f"{self._dice.getrandbits(128):032x}"
        listener = self.sockets.enter(sid, socket)
        try:
            status: Json = {"status": self.worker.status, "sid": sid}
            await socket.deliver(binary_frames.text("status", status))
            if node := self.worker.executing(sid):
                # As in ComfyUI, without prompt_id and display_node (T09).
                await socket.deliver(binary_frames.text("executing", {"node": node}))
        except (ConnectionLost, anyio.get_cancelled_exc_class()):
            self.sockets.leave(listener)
            raise
        return listener

    def _ended(self, prompt: str) -> None:
        while len(self.ended_at) >= KEPT:
            del self.ended_at[next(iter(self.ended_at))]
        self.ended_at[prompt] = anyio.current_time()

    def _restart(self) -> None:
        self.sockets.forget()
        self.worker.die()
        self.files.wipe_temp()

    def _forget(self, what: str) -> None:
        prompts = self.worker.prompts
        if what == "pending":
            prompts.clear()
        elif what == "history":
            prompts.history.clear()
        elif not prompts.delete(what):
            prompts.history.pop(what, None)
