"""What people may ask for again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import pytest

from app.core.jobs.job import Job, JobRequest
from app.events import JobId, ServerName
from app.service.catalog import Catalog
from app.service.job_factory import JobFactory
from app.service.moderation import Moderation
from app.service.reasons import NotForYou
from app.service.requests import Person
from app.workflows.model import WorkflowError
from app.workflows.node_definitions import Definitions

if TYPE_CHECKING:
    from app.core.journal_port import JobHistory
    from app.service.choices import Choices
    from app.service.job_factory import InputFiles

STUDIO = ServerName("studio")

GRAPH = '{"1": {"class_type": "Paint", "inputs": {}}}'


@pytest.mark.anyio
async def test_a_workflow_that_no_server_can_run_at_the_moment_is_still_for_those_alone_whom_it_names(
    tmp_path: Path,
) -> None:
    (tmp_path / "oil.json").write_text(GRAPH)
    (tmp_path / "oil.toml").write_text('command = "oil"\nusers = ["1"]')
    catalog = Catalog(tmp_path, [STUDIO], lambda _: Definitions({}))
    await catalog.look()
    assert not catalog.workflows
    history = cast("JobHistory", None)
    parts = cast("Choices", None), history, cast("InputFiles", None)
    job_factory = JobFactory(catalog, *parts, tmp_path, anyio.Event(), Moderation(history))
    job = Job(request=JobRequest(job=JobId("job"), workflow="oil", graph={}, folder=""))
    job_factory.check_can_repeat(job, Person(user="1"))
    with pytest.raises(WorkflowError) as refused:
        job_factory.check_can_repeat(job, Person(user="2"))
    assert isinstance(refused.value.reason, NotForYou)
