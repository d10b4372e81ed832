"""A journal with many results of several people, the newest of which have pictures and thumbnails on the disk."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from app.core.jobs.job import Job, JobRequest, State, Transition
from app.events import Finished, JobId, ServerName
from app.journal.opening import JOURNAL, open_store
from app.media_worker.thumbnail import make_thumbnail
from app.retention.files import thumbnail_path
from app.simulator.art.painter import Recipe, paint

PROMPTS = (
    "a lighthouse at dusk, storm clouds, long exposure",
    "four foxes in the snow, golden hour, film grain",
    "a night train through the hills",
    "an island that floats above the sea",
    "a castle in the snow, wide angle",
    "two comets over a lake, long exposure",
    "a garden on the far side of the moon",
    "a harbour in the morning, watercolour",
    "a library in the forest, soft light",
    "a kite above the dunes",
    "a launch pad at dawn, cinematic",
    "the same bay in winter, film grain",
)

SHAPES = ((480, 320), (384, 384), (320, 480), (480, 272), (400, 320), (320, 400))

EVERY = 240.0
"""Seconds from one result to the next."""

ROWS_AT_ONCE = 1000


class Place(Struct, frozen=True):
    """Where the results were asked for."""

    guild: str
    channel: str


def job_id(number: int) -> JobId:
    """The id of the job of this number."""
    return JobId(str(uuid.UUID(int=number + 1, version=4)))


def prompt(number: int) -> str:
    """What was asked for: one of a thousand variants of each prompt."""
    return f"{PROMPTS[number % len(PROMPTS)]}, variant{number // len(PROMPTS)}"


def _result(folder: Path, number: int, owner: str, place: Place) -> Job:
    width, height = SHAPES[number % len(SHAPES)]
    request = JobRequest(
        job=job_id(number),
        workflow="txt2img" if number % 3 else "img2img",
        graph={"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreamscape-v1.safetensors"}}},
        folder=str(folder),
        owner=owner,
        guild=place.guild,
        channel=place.channel,
        seed=number,
        values={"prompt": prompt(number), "width": width, "height": height, "steps": 24},
    )
    path = str(folder / f"{request.workflow}-{request.job}-01.png")
    made = Job(request=request, state=State.DELIVERED, notified=True)
    made.terminal_update = Finished(ServerName("studio"), files=(path,), job=made.id, seconds=4.0, seed=number)
    return made


def fill(data: Path, count: int, owners: Sequence[str], place: Place, *, painted: int) -> None:
    """Write the journal of a bot that does not run. `painted` of the newest results have pictures."""
    folder = data / "results"
    folder.mkdir(parents=True)
    jobs = [_result(folder, number, owners[number // 3 % len(owners)], place) for number in range(count)]
    now = time.time()
    moment = 0.0
    with open_store(data / JOURNAL, clock=lambda: moment, durable=False) as store:
        for start in range(0, count, ROWS_AT_ONCE):
            moment = now - EVERY * (count - start)
            rows = jobs[start : start + ROWS_AT_ONCE]
            store.write([(rows, [Transition(job.id, 1, "delivered", "test") for job in rows])])
        # The bot tries to make no thumbnails of what is not there.
        database = store._database  # pyright: ignore[reportPrivateUsage]
        database.execute("UPDATE gallery SET width = 0, height = 0")
        for number in range(count - painted, count):
            store.keep_dimensions(jobs[number].id, *_painted(jobs[number], number))


def _painted(job: Job, number: int) -> tuple[int, int]:
    """Paint the picture of a job, and its thumbnail; the size of the thumbnail."""
    assert isinstance(job.terminal_update, Finished)
    path = Path(job.terminal_update.files[0])
    width, height = SHAPES[number % len(SHAPES)]
    paint(Recipe(PROMPTS[number % len(PROMPTS)], number, "dreamscape-v1", 24, width, height)).save(path)
    return make_thumbnail(path, thumbnail_path(str(path)), mark_results=False)
