"""What made a job, for people."""

from __future__ import annotations

from app.core.jobs.job import Job, JobRequest, Upload
from app.events import JobId, NodeId
from app.service.job_settings import Setting, settings_of


def test_of_a_workflow_that_is_gone_files_are_named_without_the_folders_of_the_bot() -> None:
    request = JobRequest(
        job=JobId("1"),
        workflow="gone",
        graph={},
        folder="/data/results",
        values={"prompt": "a cat", "steps": 4, "image": "/data/inputs/1/cat.png"},
        uploads=(Upload(NodeId("1"), "image", "/data/inputs/1/cat.png"),),
    )
    assert settings_of(Job(request=request), None) == [Setting("steps", "4"), Setting("image", "cat.png")]
