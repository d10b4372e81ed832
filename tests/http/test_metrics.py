"""The figures that Prometheus reads: right, complete, documented, and without anything of a person or an address."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import msgspec
import pytest
import yaml
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from app.core.jobs.cost import Run
from app.core.jobs.job import State
from app.core.jobs.tally import MOST_WORKFLOWS
from app.events import JobId, ServerName
from app.histogram import Histogram
from app.http.exposition import Exposition, KeptLines, Metric
from app.http.labels import MOST_SERVERS, ServerLabels
from app.http.metrics import METRICS, Metrics
from app.http.process_figures import open_files, resident_bytes, total_resident_bytes
from app.http.sources import Sources
from tests.http.figures import (
    CONFIGURED,
    NAMELESS,
    STUDIO,
    Discord,
    Engine,
    Fronts,
    Journal,
    Workers,
    job,
    samples,
    value,
    work,
)

ROOT = Path(__file__).parents[2]

DEPLOY = ROOT / "deploy"


def metrics(sources: Sources) -> Metrics:
    return Metrics(sources, Histogram((0.001, 0.1)), started=1_000.0)


def run(number: int, server: ServerName, seconds: float, **more: object) -> Run:
    values: dict[str, object] = {"job": JobId(f"job-{number}"), "person": "ada", "workflow": "txt2img", "work": 1.0}
    return Run(server=server, seconds=seconds, **(values | more))  # pyright: ignore[reportArgumentType]


def busy() -> Sources:
    """Sources of a bot that has done a bit of everything."""
    figures = work()
    tally = figures.tally
    for number, state in enumerate((State.ACCEPTED, State.ACCEPTED, State.RUNNING)):
        one_job = job(number, state=state)
        tally.accept(one_job.id, one_job.request.workflow, 0.0)
        figures.jobs[one_job.id] = one_job  # pyright: ignore[reportIndexIssue]
    tally.start(JobId("job-2"), 7.0)
    tally.run(run(2, STUDIO, 4.0, waited=9.0, expected_wait=2.0), 3.0)
    tally.run(run(3, NAMELESS, 2.0), None)
    tally.accept(job(9).id, job(9).request.workflow, 0.0)
    tally.end(job(9), "failed")
    tally.model_loads[STUDIO] = tally.connections[STUDIO] = tally.catch_ups[STUDIO] = 2
    tally.failed_catch_ups[NAMELESS] = 5
    figures.servers[NAMELESS].listening = False
    figures.servers[STUDIO].drained = True
    discord = Discord(media_workers=frozenset({os.getpid()}))
    discord.traffic.requests["PATCH", "429"] = 3
    discord.traffic.sessions["resumed"] = 1
    journal = Journal()
    journal.commits.observe(0.02)
    return Sources(
        journal=journal,
        discord=discord,
        work=figures,
        configured=CONFIGURED,
        engine=Engine(),
        workers=Workers(),
        fronts=Fronts(),
    )


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def test_every_figure_is_what_its_owner_says() -> None:
    text = metrics(busy()).text()
    assert value(text, "atelier_jobs", state="accepted") == 2
    assert value(text, "atelier_jobs", state="running") == 1
    assert value(text, "atelier_jobs_accepted_total") == 4
    assert value(text, "atelier_jobs_ended_total", outcome="failed", workflow="txt2img") == 1
    assert value(text, "atelier_queue_longest_wait_seconds") > 0
    assert value(text, "atelier_queue_wait_seconds_bucket", le="5.0") == 0
    assert value(text, "atelier_queue_wait_seconds_bucket", le="15.0") == 1
    assert value(text, "atelier_queue_wait_seconds_sum") == 7
    assert value(text, "atelier_run_seconds_total", server="studio", workflow="txt2img") == 4
    assert value(text, "atelier_runs_total", server="unnamed 1") == 1
    assert value(text, "atelier_run_expected_seconds_total", workflow="txt2img") == 3
    assert value(text, "atelier_run_measured_seconds_total", workflow="txt2img") == 4
    assert value(text, "atelier_start_error_seconds_sum") == 7
    assert value(text, "atelier_server_up", server="studio") == 1
    assert value(text, "atelier_server_up", server="unnamed 1") == 0
    assert value(text, "atelier_server_drained", server="studio") == 1
    assert value(text, "atelier_model_loads_total", server="studio") == 2
    assert value(text, "atelier_server_reconnects_total", server="studio") == 1
    assert value(text, "atelier_catch_ups_total", server="studio") == 2
    assert value(text, "atelier_catch_ups_failed_total", server="unnamed 1") == 5
    assert value(text, "atelier_discord_connected") == 1
    assert value(text, "atelier_discord_latency_seconds") == 0.04
    assert value(text, "atelier_discord_requests_total", method="PATCH", status="429") == 3
    assert value(text, "atelier_discord_sessions_total", kind="resumed") == 1
    assert value(text, "atelier_journal_writable") == 1
    assert value(text, "atelier_journal_commit_seconds_bucket", le="+Inf") == 1
    assert value(text, "atelier_engine_up") == 1
    assert value(text, "atelier_engine_round_trip_seconds") == 0.002
    assert value(text, "atelier_workers") == 1
    assert value(text, "atelier_worker_lag_seconds", server="studio") == 1.5
    assert value(text, "atelier_front_active") == 1
    assert value(text, "atelier_front_epoch") == 3
    assert value(text, "atelier_front_lease_seconds") == 4.5
    assert value(text, "atelier_standby_fronts") == 1
    assert value(text, "atelier_standby_behind_batches", front="cellar") == 7
    assert value(text, "atelier_standby_behind_seconds", front="cellar") == 2.5
    assert value(text, "atelier_front_shards", front="cellar") == 2
    assert value(text, "atelier_relayed_events_total", result="relayed") == 5
    assert value(text, "atelier_media_workers") == 1
    assert value(text, "process_start_time_seconds") == 1_000


async def test_every_metric_is_written_with_its_type_and_its_labels_and_no_other() -> None:
    families = {family.name: family for family in text_string_to_metric_families(metrics(busy()).text())}
    written = {name: family.type for name, family in families.items()}
    assert written == {metric.name.removesuffix("_total"): metric.kind for metric in METRICS}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert family.documentation == metric.explanation
        assert {frozenset(sample.labels) - {"le"} for sample in family.samples} == {frozenset(metric.labels)}


async def test_what_is_not_open_yet_is_left_out() -> None:
    text = metrics(Sources()).text()
    assert value(text, "process_start_time_seconds") == 1_000
    assert not {
        name for name in samples(text) if name.startswith(("atelier_jobs", "atelier_discord", "atelier_journal"))
    }
    unmeasured = Discord(latency=float("nan"))
    assert "atelier_discord_latency_seconds" not in samples(metrics(Sources(discord=unmeasured)).text())


async def test_a_single_process_has_no_figures_of_an_engine() -> None:
    alone = busy()
    alone.engine = alone.workers = alone.fronts = None
    assert not [name for name in samples(metrics(alone).text()) if re.search("engine|worker_lag|front|standby", name)]
    away = metrics(Sources(engine=Engine(is_reachable=False, round_trip=None))).text()
    assert value(away, "atelier_engine_up") == 0
    assert "atelier_engine_round_trip_seconds" not in samples(away)


async def test_no_label_holds_a_person_or_an_address() -> None:
    written = {
        text for by_labels in samples(metrics(busy()).text()).values() for labels in by_labels for _, text in labels
    }
    assert "studio" in written
    assert not [text for text in written if re.search(r"ada|job-\d|10\.0\.0\.7|8188|example", text)]


async def test_labels_stay_few_whatever_people_and_operators_do() -> None:
    figures = work()
    for number in range(5_000):
        name = ServerName(f"server-{number}")
        figures.tally.run(run(number, name, 1.0, workflow=f"workflow-{number}"), 1.0)
        figures.tally.connections[name] += 1
    workers = Workers({ServerName(f"server-{number}"): (f"worker-{number}", float(number)) for number in range(5_000)})
    written = samples(metrics(Sources(work=figures, configured=CONFIGURED, workers=workers)).text())
    assert len(written["atelier_worker_lag_seconds"]) == MOST_SERVERS + 1
    assert max(written["atelier_worker_lag_seconds"].values()) == 4_999
    assert len(written["atelier_server_reconnects_total"]) == MOST_SERVERS + 1
    assert len(written["atelier_run_expected_seconds_total"]) == MOST_WORKFLOWS + 1
    assert len(written["atelier_run_seconds_total"]) <= MOST_SERVERS + MOST_WORKFLOWS + 1


def test_a_server_keeps_its_label_when_it_is_removed_and_when_others_come() -> None:
    labels, configured = ServerLabels(), dict(CONFIGURED)
    before = [labels.of(name, configured) for name in (STUDIO, NAMELESS)]
    assert before == ["studio", "unnamed 1"]
    configured.clear()
    assert [labels.of(name, configured) for name in (NAMELESS, STUDIO)] == ["unnamed 1", "studio"]
    assert labels.of(ServerName("10.0.0.8:8188"), configured) == "unnamed 2"


def test_odd_names_and_numbers_are_read_back_as_they_are() -> None:
    exposition = Exposition({})
    odd = 'a "quoted"\\name\nof ü %s {x="y"}'
    gauge = Metric("odd", "gauge", "Odd.", ("server", "workflow"))
    exposition.add(gauge, [((odd, "b"), 1e300), (("c", odd), float("inf"))])
    exposition.add_one(Metric("nothing", "gauge", "Nothing."), None)
    exposition.add_one(Metric("small", "gauge", "Small."), -1.5e-9)
    written = samples(exposition.text())
    assert written["odd"] == {
        (("server", odd), ("workflow", "b")): 1e300,
        (("server", "c"), ("workflow", odd)): float("inf"),
    }
    assert written["small"] == {(): -1.5e-9}
    assert "nothing" not in written


def test_the_next_text_has_what_changed_what_is_new_and_nothing_that_is_gone() -> None:
    kept: KeptLines = {}
    gauge, other = Metric("runs", "gauge", "Runs.", ("server",)), Metric("jobs", "gauge", "Jobs.", ("server",))

    def write(*values: tuple[str, float]) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        exposition = Exposition(kept)
        for metric in (gauge, other):
            exposition.add(metric, [((server,), value) for server, value in values])
        return samples(exposition.text())

    for values in ((("a", 1.0), ("b", 2.0)), (("a", 1.0), ("b", 3.0), ("c", 4.0)), (("c", 4.5),), (("a", 1.0),)):
        expected = {(("server", server),): value for server, value in values}
        assert write(*values) == {"runs": expected, "jobs": expected}


def test_the_memory_of_a_process_is_known_while_it_runs(tmp_path: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    for number, pages in ((1, 10), (2, 20)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "statm").write_text(f"999 {pages} 5 1 0 40 0\n")
    assert resident_bytes(1, tmp_path) == 10 * page
    assert total_resident_bytes([1, 2, 3], tmp_path) == 30 * page
    assert resident_bytes(3, tmp_path) is None
    assert open_files(tmp_path) is None


ROW = re.compile(r"\| `(?P<name>[a-z_]+)` \| (?P<kind>\w+) \| (?P<labels>[^|]*?) ?\| (?P<explanation>[^|]+) \|")


def test_the_documents_list_every_metric_as_the_code_has_it() -> None:
    rows = [match.groupdict() for match in ROW.finditer((ROOT / "docs" / "OPERATING.md").read_text(encoding="utf-8"))]
    assert rows == [
        {
            "name": metric.name,
            "kind": metric.kind,
            "labels": ", ".join(f"`{label}`" for label in metric.labels),
            "explanation": metric.explanation,
        }
        for metric in METRICS
    ]


MENTIONED = re.compile(r"\b(?:atelier|process)_[a-z_]+\b")

SERIES = {metric.name for metric in METRICS if metric.kind != "histogram"} | {
    f"{metric.name}_{part}" for metric in METRICS if metric.kind == "histogram" for part in ("bucket", "sum", "count")
}


@pytest.mark.parametrize("name", ["grafana-dashboard.json", "prometheus-alerts.yml"])
def test_every_metric_that_the_dashboard_and_the_alerts_mention_exists(name: str) -> None:
    mentioned = set(MENTIONED.findall((DEPLOY / name).read_text(encoding="utf-8")))
    assert len(mentioned) > 5
    assert mentioned <= SERIES


def test_the_dashboard_has_panels_that_can_be_told_apart_and_ask_for_something() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"])


class Rule(Struct, frozen=True, forbid_unknown_fields=True, rename={"duration": "for"}):
    """One alert of a file of rules, as Prometheus reads it."""

    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    duration: str = "0s"


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Rules that are evaluated together."""

    name: str
    rules: list[Rule]


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rules."""

    groups: list[Group]


def test_each_alert_says_when_how_bad_it_is_and_what_to_do() -> None:
    rules = msgspec.convert(yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8")), Rules)
    alerts = [rule for group in rules.groups for rule in group.rules]
    names = [alert.alert for alert in alerts]
    assert len(set(names)) == len(names) > 10
    for alert in alerts:
        assert alert.expr.count("(") == alert.expr.count(")")
        assert re.fullmatch(r"\d+[smh]", alert.duration)
        assert alert.labels.keys() == {"severity"}
        assert alert.labels["severity"] in ("critical", "warning", "info")
        assert {"summary"} <= alert.annotations.keys() <= {"summary", "description"}
        assert all(alert.annotations.values())


def test_the_alerts_and_the_dashboard_name_labels_that_their_metrics_have() -> None:
    labels = {metric.name: {*metric.labels, *(("le",) if metric.kind == "histogram" else ())} for metric in METRICS}
    texts = [
        (DEPLOY / name).read_text(encoding="utf-8") for name in ("grafana-dashboard.json", "prometheus-alerts.yml")
    ]
    named = [match for text in texts for match in re.findall(r"((?:atelier|process)_[a-z_]+)\{([^}]*)\}", text)]
    assert named
    for series, selector in named:
        metric = next(name for name in (series, re.sub("_(bucket|sum|count)$", "", series)) if name in labels)
        used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) - {"job", "instance"}
        assert used <= labels[metric], series
