"""Runs the commands `check` and `doctor`."""

from __future__ import annotations

from rich.console import Console

from app.application import open_clients
from app.cli.arguments.commands import Check
from app.cli.check.command import check, check_live
from app.cli.check.doctor import examine
from app.cli.data_folder import journal_or_error
from app.config.settings import Config
from app.config.toml_table import ConfigError


async def execute(command: Check, config: Config, console: Console) -> int:
    """Check Discord if the command says so, else everything else; return the exit code. Raises `ConfigError`."""
    if command.live:
        return await check_live(console, config, command.live, command.channel, command.wait)
    if command.channel:
        raise ConfigError("--channel needs --live and the id of a server.")
    async with open_clients(config) as clients:
        connections = {name: (server_clients.comfy, server_clients.connect) for name, server_clients in clients.items()}
        allowed = {server.label: server.workflows for server in config.servers}
        machine = await examine(config, journal_or_error(config))
        started = {server.label: server.power for server in config.servers if server.power is not None}
        source, folders, paying = config.source, config.workflow_folders, config.paying_servers
        return await check(console, source, folders, connections, allowed, machine, paying, started)
