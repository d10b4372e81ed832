"""A bot without the page does not load what only the page needs."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, app.application, app.cli.run, app.discord.app, app.http.sources
print(*sorted(sys.modules))
"""


def test_without_the_page_nothing_of_it_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "hikari" in loaded
    # A library of the Discord frontend looks whether Starlette is there.
    assert loaded.isdisjoint({"jinja2", "itsdangerous", "httpx_oauth", "starlette.applications", "anycorn"})
    assert {name for name in loaded if name.startswith("app.http.")} == {"app.http.sources"}
    assert loaded.isdisjoint({"app.service.results.gallery", "app.service.queue.live_queue"})
