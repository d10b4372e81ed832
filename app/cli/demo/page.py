"""The pictures of the `demo` command on the web page, without Discord and without a login."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec.structs import replace

from app.application import Services, open_page_parts
from app.config.installation import included_workflows
from app.config.settings import Config, Http, Page
from app.config.toml_table import ConfigError
from app.core.journal_port import JobHistory
from app.http.page.opening import open_page
from app.http.server import open_server
from app.http.sources import Sources
from app.media_worker.client import MediaClient
from app.media_worker.mark import marked
from app.service.page_frontend import PageFrontend
from app.service.people.visibility import OwnOnly, no_spoiler
from app.service.results.thumbnails import ThumbnailActor, Thumbnails
from app.workflows.load import load

WORKFLOWS = ("txt2img", "img2img")
"""What the demo draws with."""

HOST = "127.0.0.1"
"""Nobody else reaches it, so nobody logs in."""


async def check_port(port: int) -> None:
    """Raise `ConfigError` if the page cannot be served at a port; 0 is any free one."""
    try:
        async with await anyio.create_tcp_listener(local_host=HOST, local_port=port):
            return
    except OSError as error:
        raise ConfigError(
            f"the page cannot be served at port {port} ({os.strerror(error.errno or 0)}): choose another one."
        ) from None


class DemoPage:
    """The page of the demo, whose key and journal are in `data`."""

    def __init__(self, config: Config, data: Path, port: int) -> None:
        self._config = replace(config, data=data, http=Http(host=HOST, port=port), page=Page(enabled=True))

    @asynccontextmanager
    async def prepared(self, job_history: JobHistory) -> AsyncGenerator[None]:
        """Make the thumbnails of what is drawn within the block."""
        media = MediaClient()
        async with anyio.create_task_group() as tasks:
            await tasks.start(media.run, name="media")
            tasks.start_soon(ThumbnailActor(job_history, Thumbnails(media, mark_results=True)).run, name="thumbnails")
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def served(self, services: Services, job_history: JobHistory) -> AsyncGenerator[str]:
        """Serve the page within the block; yields its address."""
        sources = Sources(work=services.work, configured=services.configured, draining=services.draining)
        workflows = {name: load(included_workflows(), name) for name in WORKFLOWS}
        frontend = PageFrontend(
            visibility=OwnOnly(),
            titles=lambda name: workflows[name].title if name in workflows else name,
            server_names={name: str(name) for name in services.configured},
            is_spoiler=no_spoiler,
            mark=marked,
            workflows=lambda: workflows,
        )
        opened = open_page(self._config, sources, everything=True)
        async with (
            open_page_parts(services, job_history, frontend) as sources.page,
            open_server(self._config.http, sources, started=time.time(), page=opened.page) as server,
        ):
            await server.listening.wait()
            yield f"{server.address}/"
