"""How long runs are expected to take, as learned from measured runs."""

from __future__ import annotations

from app.core.jobs.cost import Estimates, Run
from app.events import JobId, ServerName

HOME = ServerName("home")


def run(workflow: str, seconds: float, *, loading: bool) -> Run:
    return Run(
        job=JobId("job"), person="ada", workflow=workflow, server=HOME, work=1.0, seconds=seconds, loading=loading
    )


def test_long_runs_that_vary_do_not_hide_how_long_loading_takes() -> None:
    estimates = Estimates()
    for each in (run("picture", 8.0, loading=False), run("film", 90.0, loading=False)):
        estimates.learn(each)
    for film in (60.0, 70.0, 200.0, 160.0):
        estimates.learn(run("film", film, loading=True))
    for picture in (27.0, 28.0, 29.0):
        estimates.learn(run("picture", picture, loading=True))
    assert estimates.loading_seconds(HOME) == 20.0


def test_a_run_that_loaded_models_before_any_other_tells_how_long_loading_takes() -> None:
    estimates = Estimates()
    estimates.learn(run("picture", 28.0, loading=True))
    assert estimates.loading_seconds(HOME) == 0.0
    estimates.learn(run("picture", 8.0, loading=False))
    assert estimates.loading_seconds(HOME) == 20.0
