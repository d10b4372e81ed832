"""Loads the configuration: defaults, then atelier.toml, then .env, then the environment, then the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from app.config.addresses import rest_url_of
from app.config.installation import default_data, included_workflows
from app.config.settings import Config
from app.config.tables.discord import read_alerts, read_discord
from app.config.tables.http import read_http, read_log
from app.config.tables.keeping import read_backup, read_retention
from app.config.tables.limits import read_limits
from app.config.tables.page import read_page
from app.config.tables.paid_nodes import api_key_of, read_budget
from app.config.tables.servers import FAILOVER, Source, chosen_servers, read_server
from app.config.tables.tasks import read_default_models, read_presets
from app.config.tables.worker import read_engine, read_worker
from app.config.toml_table import ConfigError, Table, TomlFile, path_from, read_table, short
from app.config.variables import Variables, token_of

KEYS = (
    *("servers", "data", "workflows", "included_workflows", "depth", "failover_after", "largest_result"),
    *("discord", "alerts", "tasks", "presets", "limits", "paid_nodes", "retention", "backup", "http", "page", "log"),
    *("engine", "worker"),
)
"""The keys at the top of the file."""


def load_config(
    environ: Mapping[str, str],
    folder: Path,
    *,
    servers: Sequence[str] = (),
    engine: str = "",
    worker: str | None = None,
) -> Config:
    """Load all settings. `servers` and `engine` are those of the command line. Raises `ConfigError`.

    `worker` is the name that the command line gives to a worker, "" for none; it is None for all other commands. A
    front needs no server of its own: it may have those of workers.

    `folder` is the current folder: it contains the .env, and relative paths in the environment and in the .env start
    there. Relative paths in atelier.toml start at the folder of that file.
    """
    variables = Variables(environ, folder / ".env")
    named = variables.text("ATELIER_CONFIG")
    path = path_from(named, folder) if named else folder / "atelier.toml"
    file_name = short(named) if named else path.name
    file = read_table(path, file_name)
    if named and file is None:
        raise ConfigError(f"ATELIER_CONFIG names {file_name}, which is not there: create it, or unset the variable.")
    root = file or Table(TomlFile(file_name, ""), (), {})
    root.check_keys(KEYS)
    known = [Source(read_server(table, path.parent), table) for table in root.tables("servers")]
    engine_settings = read_engine(root.table("engine"), variables, path.parent, engine)
    chosen = chosen_servers(servers, variables, known, default=engine_settings is None or worker is not None)
    discord = read_discord(root.table("discord"))
    if rest_url := variables.text("DISCORD_REST_URL"):
        discord = replace(discord, rest_url=rest_url_of(rest_url, variables.error("DISCORD_REST_URL")))

    http, page = read_page(root.table("page"), variables, read_http(root.table("http"), variables))

    def folder_of(variable: str, key: str) -> Path | None:
        """The folder that the environment or the file names; None if neither does."""
        if named := variables.text(variable):
            return path_from(named, folder)
        return path_from(root.name(key, key), path.parent) if key in root.values() else None

    return Config(
        servers=tuple(chosen),
        data=folder_of("ATELIER_DATA", "data") or default_data(),
        workflows=folder_of("ATELIER_WORKFLOWS", "workflows") or folder / "workflows",
        included=included_workflows() if root.flag("included_workflows", default=True) else None,
        former_data=path_from(variables.text("ATELIER_DATA") or root.name("data", "data"), folder),
        depth=root.whole("depth", 2, 1, 16),
        failover_after=root.whole("failover_after", 60, *FAILOVER),
        largest_result=root.whole("largest_result", 1024, 1, 1_000_000),
        discord_token=token_of(variables),
        api_key=api_key_of(variables),
        discord=discord,
        alerts=read_alerts(root.table("alerts")),
        tasks=read_default_models(root.table("tasks")),
        presets=read_presets(root.table("presets")),
        limits=read_limits(root.table("limits")),
        paid_nodes=read_budget(root.table("paid_nodes")),
        http=http,
        page=page,
        log=read_log(root.table("log"), variables),
        retention=read_retention(root.table("retention"), root.table("discord")),
        backup=read_backup(root.table("backup"), path.parent),
        engine=engine_settings,
        worker=read_worker(root.table("worker"), worker or ""),
        source=str(path) if file is not None else "",
    )


def reload_config(before: Config, environ: Mapping[str, str], folder: Path) -> Config:
    """Load all settings again. Raises `ConfigError`, also if the file is gone that there was before.

    The defaults would otherwise replace every server while somebody moves the file.
    """
    # With an engine, nobody assumes a server on this machine.
    engine = before.engine.address if before.engine is not None else ""
    config = load_config(environ, folder, engine=engine)
    if before.source and not config.source:
        raise ConfigError(f"{before.source} is gone: put it back, or restart the bot to run without it.")
    return config
