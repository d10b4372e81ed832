"""A bot without Discord that serves a gallery: `python -m bench.page_process JOURNAL BACKEND PERSON`.

It prints its address and a cookie of the person, and serves until its input ends.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.config.settings import Config
from app.http.page.opening import open_page
from app.http.page.parts import PageParts
from app.http.page.protection.addresses import address_of
from app.http.page.protection.key import read_key
from app.http.page.protection.sessions import Sessions
from app.http.page.protection.signing import Signer
from app.http.server import open_server
from app.http.sources import Sources
from app.journal.sqlite import open_journal
from app.service.results.gallery import Gallery
from app.system.logging import configure
from bench.page_data import SomeChannels
from bench.page_queue_process import HTTP, PAGE


async def main(journal: Path, person: str) -> None:
    """Serve until the input ends."""
    sources = Sources()
    with TemporaryDirectory() as name:
        folder = Path(name)
        page = open_page(Config(servers=(), data=folder, workflows=folder, http=HTTP, page=PAGE), sources).page
        async with (
            open_journal(journal) as opened,
            open_server(HTTP, sources, started=time.time(), page=page) as server,
        ):
            sources.page = PageParts(gallery=Gallery(opened, SomeChannels()))
            await server.listening.wait()
            sessions = Sessions(Signer(read_key(folder)), address_of(PAGE, HTTP))
            cookie = sessions.header(sessions.begin(person)).partition(";")[0]
            print(json.dumps({"address": server.address, "cookie": cookie}), flush=True)
            await anyio.wrap_file(sys.stdin).read()


if __name__ == "__main__":
    # To stderr, because the address is on stdout.
    configure(debug=False)
    anyio.run(partial(main, Path(sys.argv[1]), sys.argv[3]), backend=sys.argv[2])
