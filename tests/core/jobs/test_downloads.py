"""When a download that failed is tried again, and who gets the lanes."""

from __future__ import annotations

from app.core.effects import FetchFile
from app.core.jobs.downloads import LANES, LANES_OF_JOB, LANES_OF_PERSON, LONGEST, MOST_TRIES, WAIT, Downloads
from app.events import FileRef, JobId, PromptId, ServerName

HERE = ServerName("studio")


def file(job: int, number: int = 0) -> FetchFile:
    return FetchFile(JobId(str(job)), PromptId(str(job)), HERE, FileRef(f"{number}.png"), f"{job}-{number}.png")


def test_the_pauses_between_two_tries_grow_while_the_server_is_to_blame() -> None:
    downloads, now, pauses = Downloads(), 100.0, list[float]()
    downloads.want(file(1), "ada")
    while downloads.start(now, [HERE]):
        downloads.over(file(1))
        if not downloads.failed(file(1), now, counts=True):
            break
        assert not downloads.start(now, [HERE]), "that is too soon"
        pauses.append(downloads.due - now)
        now = downloads.due
    assert [round(pause, 6) for pause in pauses] == [0.1, 0.5, 2.0, 8.0, 20.0]
    assert len(pauses) == MOST_TRIES - 1


def test_a_try_that_nobody_is_to_blame_for_is_repeated_soon_and_for_an_hour_at_most() -> None:
    downloads, now, tries = Downloads(), 0.0, 0
    downloads.want(file(1), "ada")
    while True:
        assert downloads.start(now, [HERE]) == [file(1)]
        downloads.over(file(1))
        tries += 1
        if not downloads.failed(file(1), now, counts=False):
            break
        assert not downloads.start(now, [HERE])
        assert downloads.due == now + WAIT
        now = downloads.due
    assert LONGEST < now <= LONGEST + 2 * WAIT
    assert tries == 1 + now / WAIT


def test_no_job_and_no_person_takes_all_lanes_of_a_server() -> None:
    downloads = Downloads()
    for number in range(20):
        downloads.want(file(1, number), "ada")
    assert len(downloads.start(0.0, [HERE])) == LANES_OF_JOB == 4
    for job in range(2, 9):
        downloads.want(file(job), "ada")
    assert len(downloads.start(0.0, [HERE])) == LANES_OF_PERSON - LANES_OF_JOB == 4
    for job in range(100, 140):
        downloads.want(file(job), str(job))
    assert len(downloads.start(0.0, [HERE])) == LANES - LANES_OF_PERSON == 16
