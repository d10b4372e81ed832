"""What people may ask for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import pytest
from msgspec.structs import replace

from app.core.jobs.job import Job, JobRequest, Upload
from app.events import JobId, NodeId, ServerName
from app.service.jobs.job_factory import JobFactory
from app.service.jobs.variations import Variations
from app.service.offers.catalog import Catalog
from app.service.people.moderation import Moderation
from app.service.reasons import CannotRecord, Draining, NotForYou
from app.service.requests import Person
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from tests.elsewhere import Elsewhere

if TYPE_CHECKING:
    from app.core.journal_port import JobHistory
    from app.service.jobs.job_factory import InputFiles
    from app.service.offers.choices import Choices

STUDIO = ServerName("studio")

GRAPH = '{"1": {"class_type": "Paint", "inputs": {}}}'


OIL = Job(request=JobRequest(job=JobId("job"), workflow="oil", graph={}, folder=""))


async def factory(
    folder: Path,
    draining: anyio.Event,
    is_suspended: Callable[[], bool] = lambda: False,
    others: Elsewhere | None = None,
) -> JobFactory:
    """For one workflow that only person 1 may use."""
    (folder / "oil.json").write_text(GRAPH)
    (folder / "oil.toml").write_text('command = "oil"\nusers = ["1"]')
    catalog = Catalog(folder, [STUDIO], lambda _: Definitions({}))
    await catalog.look()
    assert not catalog.workflows
    history = cast("JobHistory", None)
    parts = cast("Choices", None), history, cast("InputFiles", None)
    variations = Variations(catalog, history)
    return JobFactory(catalog, *parts, folder, draining, Moderation(history), variations, is_suspended, others)


@pytest.mark.anyio
async def test_a_workflow_that_no_server_can_run_at_the_moment_is_still_for_those_alone_whom_it_names(
    tmp_path: Path,
) -> None:
    job_factory = await factory(tmp_path, anyio.Event())
    job_factory.check_can_repeat(OIL, Person(user="1"))
    with pytest.raises(WorkflowError) as refused:
        job_factory.check_can_repeat(OIL, Person(user="2"))
    assert isinstance(refused.value.reason, NotForYou)


@pytest.mark.anyio
async def test_nothing_is_tried_or_fetched_again_while_the_bot_drains(tmp_path: Path) -> None:
    job_factory = await factory(tmp_path, draining := anyio.Event())
    draining.set()
    with pytest.raises(WorkflowError) as refused:
        await job_factory.retry(OIL, Person(user="1"))
    assert isinstance(refused.value.reason, Draining)
    with pytest.raises(WorkflowError) as refused:
        await job_factory.fetch_again(OIL, Person(user="1"))
    assert isinstance(refused.value.reason, Draining)


@pytest.mark.anyio
async def test_nothing_is_taken_while_nothing_can_be_recorded(tmp_path: Path) -> None:
    suspended = True
    job_factory = await factory(tmp_path, anyio.Event(), lambda: suspended)
    with pytest.raises(WorkflowError) as refused:
        await job_factory.retry(OIL, Person(user="1"))
    assert isinstance(refused.value.reason, CannotRecord)
    suspended = False
    assert await job_factory.retry(OIL, Person(user="1"))


@pytest.mark.anyio
async def test_the_files_of_a_request_are_at_all_disks_before_it_is_made(tmp_path: Path) -> None:
    others = Elsewhere()
    job_factory = await factory(tmp_path, anyio.Event(), others=others)
    await job_factory.retry(OIL, Person(user="1"))
    assert others.spread_to == []
    upload = Upload(NodeId("1"), "image", str(tmp_path / "photo.png"))
    await job_factory.retry(Job(request=replace(OIL.request, uploads=(upload,))), Person(user="1"))
    assert others.spread_to == [str(tmp_path / "photo.png")]
