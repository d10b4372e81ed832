"""The rows of the queue keep their height, so that what stands below them stays where it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from app.core.scheduling.line.ahead import Ahead
from app.events import JobId
from app.http.page.rendering import environment
from app.http.page.static_files import FOLDER
from app.service.queue.rows import QueueRow
from app.texts import page as texts

HEIGHTS = "[...document.querySelectorAll('.queue-row')].map((row) => row.getBoundingClientRect().height)"


def row(prompt: str, place: int, step: str = "", ahead: Ahead | None = None) -> str:
    shown = QueueRow(
        key="k",
        place=place,
        server="" if place else "The studio",
        expected=1_800_000_000,
        hidden=False,
        own=True,
        job=JobId("j"),
        person="Ada",
        title="Text to image",
        prompt=prompt,
        ahead=ahead,
    )
    template = environment().get_template("queue_row.html")
    about, why = texts.queue_about(shown), texts.queue_why(shown)
    when = texts.queue_when(100, starts=bool(place))
    return template.render(row=shown, percent=0, step=step, preview="", about=about, why=why, when=when, cancels=True)


@pytest.mark.parametrize("width", [360, 500, 1200])
@pytest.mark.parametrize("prompt", ["a fox", "a fox at dusk in the snow of the north " * 5])
def test_a_row_is_as_high_while_it_waits_as_while_it_is_made(browser: Browser, width: int, prompt: str) -> None:
    waiting = row(prompt, 2) + row(prompt, 2, ahead=Ahead(had_less=2, own=3))
    running = row(prompt, 0, "0 %") + row(prompt, 0, "50 % · step 5/10")
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    try:
        page.set_content(f"<style>{style}</style><main><ol class=queue>{waiting}{running}</ol></main>")
        heights: list[float] = page.evaluate(HEIGHTS)
    finally:
        page.close()
    assert len(heights) == 4
    assert len(set(heights)) == 1
