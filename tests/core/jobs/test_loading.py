"""Jobs of the journal that another front has begun with."""

from __future__ import annotations

from app.core.jobs.job import Job, JobRequest, State
from app.core.jobs.loading import forget_absent, skip_names
from app.core.jobs.results import file_name
from app.core.jobs.table import JobTable
from app.events import Finished, JobId, ServerName
from app.reasons.jobs import PictureMissed


def job() -> Job:
    return Job(request=JobRequest(job=JobId("68a341af-b6f0-4711"), workflow="paint", graph={}, folder=""))


def test_a_result_gets_no_name_that_another_front_may_have_given_to_another_picture() -> None:
    before, after = job(), job()
    given = [file_name(before, "a.png") for _ in range(5)]
    # Its last word in the journal was the first of them.
    after.kept = 1
    skip_names([after])
    assert file_name(after, "a.png") not in given


def test_a_streamed_picture_that_disappears_before_its_run_has_ended_is_missing_and_is_said_to_be() -> None:
    running = job()
    running.state, running.streamed = State.RUNNING, ["here.png", "gone.png"]
    forget_absent(JobTable(), [running], {"gone.png"})
    assert running.streamed == ["here.png"]
    assert running.notes == [PictureMissed()]


def test_the_next_name_of_a_job_that_has_ended_stays() -> None:
    ended = job()
    ended.terminal_update, ended.kept = Finished(job=ended.id, server=ServerName("studio")), 2
    skip_names([ended])
    assert file_name(ended, "a.png") == "paint-68a341af-03.png"
