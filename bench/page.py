"""The gallery with 100,000 results as a browser gets it: milliseconds and kB of pages, of searches and of a thumbnail.

`page_data` measures what the data of these pages cost, `page_queue` how soon an open page shows a result.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from msgspec.structs import replace

from app.core.jobs.job import Transition
from app.events import Finished, ServerName
from app.journal.opening import open_store
from app.media_worker.thumbnail import make_thumbnail
from app.retention.files import thumbnail_path
from app.simulator.art.painter import Recipe, paint
from bench.lookups import percentile
from bench.page_data import ENTRIES, WORDS, fill, result

CALLS = 100

VIEWER = "7"

PAGE_MS, PAGE_KB, THUMBNAIL_MS, SEARCH_MS = 100.0, 60.0, 5.0, 30.0
"""The goals: of the first page and its bytes without pictures, of a thumbnail from the disk, and of a search."""

PICTURE = re.compile(r'<img src="([^"]+)"')


def _prepare(folder: Path) -> Path:
    """Write a journal in which all results have thumbnails; only the newest one is on the disk."""
    journal, rng = folder / "atelier.db", random.Random(0)
    fill(journal, rng)
    picture = folder / "newest.png"
    paint(Recipe("a bench by the sea", 7, "", 24, 1024, 768)).save(picture)
    width, height = make_thumbnail(picture, thumbnail_path(str(picture)), mark_results=False)
    newest = result(rng, ENTRIES)
    newest.request = replace(newest.request, owner=VIEWER)
    newest.terminal_update = Finished(ServerName("studio"), files=(str(picture),), job=newest.id)
    with open_store(journal, clock=time.time, durable=False) as store:
        store.write([([newest], [Transition(newest.id, 1, "delivered", "bench")])])
        database = store._database  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        database.execute("UPDATE gallery SET width = ?, height = ?", (width, height))
    return journal


@contextmanager
def _browser(journal: Path, backend: str) -> Generator[httpx.Client]:
    """A browser that is logged in, with one connection."""
    command = [sys.executable, "-m", "bench.page_process", str(journal), backend, VIEWER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        headers = {"Cookie": told["cookie"], "Accept-Encoding": "gzip"}
        with httpx.Client(base_url=told["address"], headers=headers, timeout=60.0) as client:
            yield client
        process.communicate("")


def _measure(client: httpx.Client) -> dict[str, float]:
    rng = random.Random(1)
    figures: dict[str, float] = {}
    first = client.get("/").raise_for_status()
    figures["first_page_kb"] = round(len(first.content) / 1000, 1)
    found = PICTURE.search(first.text)
    assert found is not None
    thumbnail = found[1]
    figures["thumbnail_kb"] = round(len(client.get(thumbnail).raise_for_status().content) / 1000, 1)
    paths: dict[str, Callable[[int], str]] = {
        "first_page": lambda _: "/",
        "search_two_words": lambda _: f"/?text={'+'.join(rng.sample(WORDS, 2))}",
        "search_two_rare_words": lambda number: f"/?text=subject{number}+seed{number}",
        "thumbnail": lambda _: thumbnail,
    }
    for name, path in paths.items():
        took: list[float] = []
        for number in range(CALLS):
            began = time.perf_counter()
            client.get(path(number)).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
        figures[f"{name}_p50_ms"] = percentile(took, 50)
        figures[f"{name}_p99_ms"] = percentile(took, 99)
    return figures


def page(rounds: int) -> dict[str, object]:
    """Return the figures of both backends. Each round would take a minute, so there is one."""
    del rounds
    goals = {"first_page_ms": PAGE_MS, "page_kb": PAGE_KB, "thumbnail_ms": THUMBNAIL_MS, "search_ms": SEARCH_MS}
    figures: dict[str, object] = {"entries": ENTRIES, "goals": goals}
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        journal = _prepare(Path(folder))
        for backend in ("trio", "asyncio"):
            with _browser(journal, backend) as client:
                figures[backend] = _measure(client)
    return figures
