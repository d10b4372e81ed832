"""Runs the commands `workers`."""

from __future__ import annotations

from importlib.util import find_spec

from rich.console import Console

from app.cli.arguments.commands import AddWorker, ListWorkers, RevokeWorker, WorkersCommand
from app.cli.arguments.program import PROGRAM
from app.cli.engine_loss import WITHOUT_LIBRARY, engine_loss_text
from app.config.engine import EngineSettings
from app.config.settings import Config
from app.config.tables.worker import worker_name_problem
from app.ports import ConnectionLost
from app.reasons.servers import EngineRefuses
from app.system.standard_streams import complain

MAY_NOT = "permission"
"""What the engine's message says about a login that may not do something."""


async def execute(command: WorkersCommand, config: Config, console: Console) -> int:
    """Run a command; return the exit code."""
    if not isinstance(command, ListWorkers) and (problem := worker_name_problem(command.name)):
        complain(problem)
        return 2
    if config.engine is None:
        complain(f"{PROGRAM} workers needs an engine: write --engine valkey://host:6379, or “url” in [engine].")
        return 2
    if find_spec("coredis") is None:
        complain(WITHOUT_LIBRARY)
        return 2
    # Only here: nobody else needs the library of the engine.
    from app.cli.workers.listing import list_workers
    from app.cli.workers.logins import add, revoke
    from app.engine.connection import open_engine

    async with open_engine(config.engine, quiet=True) as engine:
        try:
            await engine.reach()
            match command:
                case ListWorkers():
                    return await list_workers(engine, console, json=command.json)
                case AddWorker():
                    return await add(engine, console, command.name)
                case RevokeWorker():
                    return await revoke(engine, console, command.name)
        except ConnectionLost as loss:
            complain(_sentence(loss, config.engine))
            return 1


def _sentence(loss: ConnectionLost, settings: EngineSettings) -> str:
    """Why the engine did not do it."""
    if isinstance(loss.reason, EngineRefuses) and MAY_NOT in loss.reason.message:
        name = settings.username or "default"
        return f"The login {name} may not change logins (ACL): set another “username” in [engine], such as default."
    return engine_loss_text(loss.reason, settings)
