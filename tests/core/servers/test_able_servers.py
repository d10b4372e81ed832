"""To which servers a job may be sent."""

from __future__ import annotations

import pytest

from app.core.jobs.job import JobRequest
from app.core.servers.able_servers import AbleServers, Offered
from app.core.servers.state import ServerState
from app.events import JobId, ServerName

A, B, GONE = ServerName("a"), ServerName("b"), ServerName("gone")


@pytest.mark.parametrize(
    ("offered", "named", "able"),
    [
        # Nobody has said yet what a and b can run.
        (None, (), []),
        (None, (B,), [B]),
        (None, (GONE,), []),
        # Somebody has.
        ({"w": (B,)}, (), [B]),
        ({"w": (A, B)}, (B,), [A, B]),
        ({"w": (B,)}, (A,), [B]),
        ({"w": (GONE,)}, (A,), []),
        # No server can run it any more.
        ({"w": ()}, (), []),
        ({"w": ()}, (GONE,), []),
        ({"w": ()}, (B,), [B]),
        # The folder does not have it any more.
        ({}, (), [A, B]),
        ({}, (GONE,), [A, B]),
        ({}, (B,), [B]),
    ],
)
def test_a_job_goes_where_somebody_says_that_it_runs(
    offered: Offered | None, named: tuple[ServerName, ...], able: list[ServerName]
) -> None:
    servers = AbleServers({name: ServerState(name) for name in (A, B)}, asked=True)
    servers.offered = offered
    assert servers.of(JobRequest(job=JobId("job"), workflow="w", graph={}, folder="", servers=named)) == able


@pytest.mark.parametrize(
    ("named", "able"), [((B,), [B]), ((B, GONE), [B]), ((GONE,), [A, B])], ids=["one", "one of two", "none is left"]
)
def test_a_job_that_names_a_model_goes_where_that_is(named: tuple[ServerName, ...], able: list[ServerName]) -> None:
    servers = AbleServers({name: ServerState(name) for name in (A, B)}, asked=True)
    servers.offered = {"w": (A, B)}
    request = JobRequest(job=JobId("job"), workflow="w", graph={}, folder="", servers=named, has_model=True)
    assert servers.of(request) == able


@pytest.mark.parametrize("offered", [{"w": (A, B)}, {}])
def test_a_job_goes_to_no_server_that_may_not_run_it_or_is_to_be_removed(offered: Offered) -> None:
    states = {A: ServerState(A, workflows=frozenset()), B: ServerState(B, leaving=True)}
    servers = AbleServers(states)
    servers.offered = offered
    assert servers.of(JobRequest(job=JobId("job"), workflow="w", graph={}, folder="")) == []


def test_where_nobody_asks_the_servers_every_one_counts_as_able() -> None:
    servers = AbleServers({name: ServerState(name) for name in (A, B)})
    assert servers.of(JobRequest(job=JobId("job"), workflow="w", graph={}, folder="")) == [A, B]
