"""Health and metrics of a whole bot that works for people: right, and without a word of what they asked for."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import anyio
import httpx
import pytest

from app.config.settings import Http, Server
from app.http import health
from app.http.server import open_server
from app.http.sources import Sources
from app.journal.opening import JOURNAL
from tests.discord.fake import Person
from tests.discord.stage import ENOUGH, Life, Stage
from tests.http.figures import samples, value
from tests.world import HERE

ADDRESS = "10.20.30.40:8188"


def sources(life: Life) -> Sources:
    return Sources(life.journal, life.app, life.house.work, life.house.configured, life.house.draining)


async def test_a_bot_that_makes_pictures_for_people_says_how_it_is_and_nothing_about_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH", 0.0)
    people = [Person(str(7_310_000_000_000_000_000 + number), f"zebedee{number}") for number in range(3)]
    async with stage.bot() as life:
        read = sources(life)
        # The stage opens its clients itself.
        read.configured = {HERE: Server(url=f"http://{ADDRESS}", name=HERE)}
        async with (
            open_server(Http(host="127.0.0.1"), read, started=0.0) as server,
            httpx.AsyncClient(timeout=ENOUGH) as client,
        ):
            await server.listening.wait()
            client.base_url = server.address
            asked = [
                stage.discord.slash("txt2img", prompt=f"quokka{number} at dawn", width=64, height=64, user=person)
                for number, person in enumerate(people)
            ]
            for interaction in asked:
                await stage.result(interaction)
            text = (await client.get("/metrics")).text
            assert value(text, "atelier_jobs_ended_total", outcome="finished", workflow="txt2img") == 3
            assert value(text, "atelier_runs_total", server=HERE) == 3
            assert value(text, "atelier_run_seconds_total", server=HERE, workflow="txt2img") > 0
            assert value(text, "atelier_discord_sessions_total", kind="new") == 1
            assert value(text, "atelier_discord_requests_total", method="PATCH", status="200") >= 3
            assert value(text, "atelier_journal_commit_seconds_count") > 3
            assert (await client.get("/readyz")).json() == {"ready": True, "missing": "", "discord": "connected"}
            await _nothing_of_people(text, stage, people)

            stage.fault(refuse_all=3600.0)
            with anyio.fail_after(ENOUGH):
                while value((await client.get("/metrics")).text, "atelier_server_up", server=HERE):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            assert (await client.get("/readyz")).status_code == 200

            with closing(sqlite3.connect(stage.data / JOURNAL, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                refused = await client.get("/readyz")
                assert refused.status_code == 503
                assert "held by another program: close that one first." in refused.json()["missing"]
                assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200


async def _nothing_of_people(text: str, stage: Stage, people: list[Person]) -> None:
    """Walk all labels: none holds a person, a prompt, a token, an id of Discord, or an address."""
    labels = {word for by_labels in samples(text).values() for pairs in by_labels for _, word in pairs}
    assert "txt2img" in labels
    ids = [str(stage.discord.channel.id), stage.discord.token, ADDRESS]
    secrets = [*ids, "quokka", "dawn", "zebedee", *(person.id for person in people)]
    assert [(word, secret) for word in labels for secret in secrets if secret in word] == []
    assert not [word for word in labels if len(word) > 16 and word.isdecimal()]
