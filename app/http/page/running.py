"""Gives the page what it shows, while the bot runs."""

from __future__ import annotations

from typing import NoReturn

import anyio

from app.actors.handle import Registry
from app.core.journal_port import JobHistory
from app.core.scheduling.overview import Overview
from app.http.page.parts import PageParts
from app.http.sources import Sources
from app.service.gallery import Gallery
from app.service.live_queue import LiveQueue
from app.service.page_frontend import PageFrontend


async def run_page(
    sources: Sources, frontend: PageFrontend, job_history: JobHistory, overview: Overview, registry: Registry
) -> NoReturn:
    """Let the page show what the journal has and what the registry does, until cancelled."""
    live_queue = LiveQueue(
        overview,
        registry,
        frontend.visibility,
        titles=frontend.title,
        server_names=frontend.server_names,
        is_spoiler=frontend.is_spoiler,
        names=frontend.names,
        mark=frontend.mark,
    )
    gallery = Gallery(job_history, frontend.visibility, is_spoiler=frontend.is_spoiler)
    async with anyio.create_task_group() as tasks:
        await tasks.start(live_queue.run, name="live queue")
        sources.page = PageParts(gallery=gallery, live_queue=live_queue, names=frontend.names, actions=frontend.actions)
        try:
            await anyio.sleep_forever()
        finally:
            sources.page = None
    raise AssertionError
