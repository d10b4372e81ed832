"""The command `work`: offers ComfyUI servers to a front through the engine."""

from __future__ import annotations

import shutil
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from anyio import to_thread
from msgspec.structs import replace

from app import __version__
from app.application import open_server
from app.cli.arguments.program import PROGRAM
from app.cli.engine_loss import WITHOUT_LIBRARY
from app.config.settings import Config, Server, Worker
from app.config.tables.worker import WORKER_NAME
from app.system.standard_streams import complain


async def work(config: Config) -> int:
    """Run the worker until a signal stops it; return the exit code."""
    engine_settings, worker = config.engine, config.worker
    if engine_settings is None:
        complain(f"{PROGRAM} work needs an engine: write --engine valkey://host:6379, or “url” in [engine].")
        return 2
    if not worker.name:
        complain(f"{PROGRAM} work needs a name: write --name attic, or “name” in [worker].")
        return 2
    if find_spec("coredis") is None:
        complain(WITHOUT_LIBRARY)
        return 2
    from app.engine.connection import open_engine
    from app.engine.messages import OfferedServer
    from app.engine.worker.lease import NameInUse
    from app.engine.worker.session import WorkerSettings
    from app.engine.worker.session import work as work_at

    if engine_settings.password and not engine_settings.username:
        # Each worker has a login of its own, which is called like it.
        engine_settings = replace(engine_settings, username=worker.name)
    servers = labelled(config.servers)
    weights = {label: server.weight for label, server in servers.items()}
    folder = config.data / "worker" / worker.name
    await to_thread.run_sync(empty, folder)

    def offer() -> tuple[OfferedServer, ...]:
        now = time.localtime()
        is_open = takes_jobs(worker, now.tm_hour * 60 + now.tm_min)
        return tuple(
            OfferedServer(label=label, workflows=allowed(worker, server) if is_open else (), weight=weights[label])
            for label, server in servers.items()
        )

    settings = WorkerSettings(
        name=worker.name,
        servers=servers,
        offer=offer,
        folder=folder,
        program=__version__,
        run_sync=to_thread.run_sync,
        hours=worker.hours,
    )
    async with open_engine(engine_settings) as opened:
        try:
            await work_at(opened, settings, partial(open_server, config))
        except NameInUse:
            complain(f"another worker is called {worker.name}: stop it, or choose another --name.")
            return 1
    return 0


def labelled(servers: tuple[Server, ...]) -> dict[str, Server]:
    """The servers by what tells them apart: nothing if there is one, else their names if these can be used."""
    if len(servers) == 1:
        return {"": servers[0]}
    names = [server.label.lower() for server in servers]
    if len(set(names)) < len(names) or not all(map(WORKER_NAME.fullmatch, names)):
        names = [f"gpu{number}" for number, _ in enumerate(servers, 1)]
    return dict(zip(names, servers, strict=True))


def allowed(worker: Worker, server: Server) -> tuple[str, ...] | None:
    """The workflows that a server may run, None for all."""
    if worker.workflows is None or server.workflows is None:
        return server.workflows if worker.workflows is None else worker.workflows
    return tuple(name for name in worker.workflows if name in server.workflows)


def takes_jobs(worker: Worker, minute: int) -> bool:
    """Whether the worker takes jobs at this minute of the day."""
    if worker.hours is None:
        return True
    first, last = worker.hours
    return first <= minute < last if first < last else minute >= first or minute < last


def empty(folder: Path) -> None:
    """Make a folder, without what was left in it when the program was killed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
