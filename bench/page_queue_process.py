"""A bot without Discord that serves the queue of the web page: `python -m bench.page_queue_process URL BACKEND PAGES`.

It prints its address and a cookie for each page. For each number that it reads, it makes so many jobs, prints when the
result of each was on the disk, and then how much of the processor it has used.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import anyio

from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import open_clients, open_services
from app.config.settings import Config, Http, Server
from app.config.settings import Page as PageSettings
from app.core.jobs.job import JobRequest
from app.events import JobId
from app.http.page.opening import open_page
from app.http.page.parts import PageParts
from app.http.page.protection.addresses import address_of
from app.http.page.protection.key import read_key
from app.http.page.protection.sessions import Sessions
from app.http.page.protection.signing import Signer
from app.http.server import open_server
from app.http.sources import Sources
from app.journal.memory import MemoryJournal
from app.media_worker.mark import marked
from app.service.people.visibility import Place
from app.service.queue.live_queue import LiveQueue
from app.service.results.gallery import Gallery
from app.system.garbage import collect_rarely
from app.system.logging import configure
from bench.client_process import Told, small

HTTP = Http(host="127.0.0.1", port=0)
PAGE = PageSettings(enabled=True, trusted_proxies=("127.0.0.1",))


class Everybody:
    """A `Visibility` of one channel that everybody may see."""

    async def may_see(self, person: str, place: Place) -> bool:
        await anyio.lowlevel.checkpoint()
        return bool(person and place.channel)


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


async def main(url: str, pages: int) -> None:
    """Serve until the input ends."""
    server = Server(url=url, name="bench")
    sources = Sources()
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = Config(servers=(server,), data=folder, workflows=folder, http=HTTP, page=PAGE)
        page = open_page(config, sources).page
        async with (
            open_clients(config) as clients,
            open_services(clients, MemoryJournal(), depth=2) as services,
            open_server(HTTP, sources, started=time.time(), page=page) as port,
            anyio.create_task_group() as tasks,
        ):
            live = LiveQueue(
                services.overview,
                services.registry,
                Everybody(),
                titles=str.title,
                server_names={server.label: server.name},
                mark=marked,
            )
            await tasks.start(live.run)
            sources.page = PageParts(gallery=cast("Gallery", None), live_queue=live)
            await port.listening.wait()
            sessions = Sessions(Signer(read_key(folder)), address_of(PAGE, HTTP))
            cookies = [sessions.header(sessions.begin(f"person {number}")).partition(";")[0] for number in range(pages)]
            # As the bot does when its page opens.
            collect_rarely()
            say(address=port.address, cookies=cookies)
            seed = 0
            async for line in anyio.wrap_file(sys.stdin):
                began, used = time.monotonic(), time.process_time()
                for _ in range(int(line)):
                    seed += 1
                    told = Told()
                    request = JobRequest(
                        job=JobId(new_prompt_id()),
                        workflow="bench",
                        graph=small(seed),
                        folder=str(folder),
                        owner="somebody",
                        guild="guild",
                        channel="channel",
                        values={"prompt": "a bench by the sea, with a dog that looks at a sail on the horizon"},
                    )
                    await InteractionActor(request, services.registry, told).run()
                    say(done=request.job, t=told.at[request.job])
                say(cpu=(time.process_time() - used) / (time.monotonic() - began), pages=live.open_streams)
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    # To stderr, because the figures are on stdout.
    configure(debug=False)
    anyio.run(partial(main, sys.argv[1], int(sys.argv[3])), backend=sys.argv[2])
