"""From which graph a picture is varied, and how many pictures a variation makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio.lowlevel
import pytest
from msgspec.structs import replace

from app.core.jobs.job import Job, JobRequest, Upload
from app.core.journal_port import JournalUnavailable
from app.events import Finished, JobId, NodeId, ServerName
from app.service.jobs.variations import SIDES, Variations, picture_of
from app.service.offers.catalog import Catalog
from app.workflows.load import Workflow, load
from app.workflows.variations.derive import STRENGTHS
from tests.refusals import refused
from tests.workflows.test_workflows import FOLDER

if TYPE_CHECKING:
    from app.core.journal_port import JobHistory

HERE = ServerName("here")


class History:
    """A journal with these jobs."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {job.id: job for job in jobs}

    async def find(self, job: str) -> Job | None:
        await anyio.lowlevel.checkpoint()
        if job == "unreadable":
            raise JournalUnavailable("Free some disk space.")
        return self.jobs.get(JobId(job))


async def variations(*jobs: Job) -> Variations:
    catalog = Catalog(FOLDER, [HERE], lambda _: None)
    await catalog.look()
    return Variations(catalog, cast("JobHistory", History(*jobs)))


def finished(job: str, workflow: str, *files: str, parent: str = "", of: str = "") -> Job:
    uploads = (Upload(NodeId("1"), "image", of),) if of else ()
    request = JobRequest(
        job=JobId(job),
        workflow=workflow,
        graph=load(FOLDER, workflow).graph,
        folder="",
        uploads=uploads,
        parent=JobId(parent),
        values={"prompt": "a cat"} if workflow == "txt2img" else {},
    )
    return Job(request=request, terminal_update=Finished(HERE, files, job=JobId(job)))


@pytest.mark.anyio
async def test_a_picture_that_was_enlarged_is_varied_by_what_made_it_and_no_other() -> None:
    first = finished("1", "txt2img", "1.png", "2.png")
    large = finished("2", "upscale", "large.png", parent="1", of="2.png")
    larger = finished("3", "upscale", "larger.png", parent="2", of="large.png")
    of_a_photo = finished("4", "upscale", "large.png", of="photo.png")
    of_another = finished("5", "upscale", "large.png", parent="1", of="photo.png")
    service = await variations(first, large, larger)
    for job in (large, larger):
        assert await service.maker(job.request) is first.request
        assert await service.possible(job.request) == {*STRENGTHS, *SIDES}
    for job in (of_a_photo, of_another, finished("6", "upscale", "x.png", parent="gone", of="1.png")):
        assert await service.maker(job.request) is job.request
        assert await service.possible(job.request) == set()


@pytest.mark.anyio
async def test_nothing_is_offered_while_the_journal_cannot_be_read_or_once_the_workflow_is_gone() -> None:
    service = await variations()
    assert await service.possible(finished("1", "upscale", "a.png", parent="unreadable", of="b.png").request) == set()
    first = finished("1", "txt2img", "1.png").request
    assert await service.possible(replace(first, values={})) == {*STRENGTHS, *SIDES}
    assert await service.possible(replace(first, workflow="gone", values={})) == set()


@pytest.mark.anyio
async def test_the_workflow_for_it_extends_what_has_a_prompt() -> None:
    service = await variations()
    inpainted = finished("1", "inpaint", "1.png").request
    assert await service.possible(inpainted) == set()
    assert await service.possible(replace(inpainted, values={"prompt": "a cat"})) == set(SIDES)
    assert await service.possible(finished("1", "outpaint", "1.png").request) == set()


def test_a_picture_is_counted_among_pictures_and_must_be_there(tmp_path: Path) -> None:
    there = tmp_path / "b.png"
    there.write_bytes(b"")
    job = finished("1", "txt2img", "sound.mp3", str(tmp_path / "a.png"), str(there))
    assert picture_of(job, 2) == str(there)
    with refused("The result was deleted"):
        picture_of(job, 1)
    with refused("There are only 2 results here"):
        picture_of(job, 3)
    for nothing in (Job(request=job.request), finished("1", "txt2img", "a.mp4")):
        with refused("The result was deleted"):
            picture_of(nothing, 1)


@pytest.mark.anyio
async def test_a_variation_makes_as_many_pictures_as_take_a_minute() -> None:
    service = await variations()
    counts = {cost: service.pictures(Workflow(name="w", graph={}, cost=cost)) for cost in (0.1, 1, 2, 3, 4, 60)}
    assert counts == {0.1: 4, 1: 4, 2: 3, 3: 2, 4: 1, 60: 1}
    assert service.pictures(Workflow(name="w", graph={}, price=0.02)) == 1
