"""`/metrics`: the figures of the bot for Prometheus, read from the parts that own them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import __version__
from app.core.jobs.job import State
from app.core.servers.state import ServerState
from app.core.work import Work
from app.events import ServerName
from app.histogram import Histogram
from app.http.exposition import CONTENT_TYPE, Exposition, KeptLines, Labels, Metric
from app.http.labels import OTHERS, ServerLabels
from app.http.process_figures import open_files, resident_bytes, total_resident_bytes
from app.http.sources import DiscordSource, FrontsSource, JournalSource, Sources

INFO = Metric("atelier_info", "gauge", "Always 1; the label is the version of the bot.", ("version",))

JOBS = Metric("atelier_jobs", "gauge", "Jobs whose end nobody has seen yet, by state.", ("state",))
ACCEPTED = Metric("atelier_jobs_accepted_total", "counter", "Jobs that were accepted.")
ENDED = Metric("atelier_jobs_ended_total", "counter", "Jobs that have ended.", ("outcome", "workflow"))
LONGEST_WAIT = Metric(
    "atelier_queue_longest_wait_seconds", "gauge", "How long the first job in line has waited for its start."
)
WAITS = Metric("atelier_queue_wait_seconds", "histogram", "Time from when a job was accepted until its start.")
RUN_SECONDS = Metric("atelier_run_seconds_total", "counter", "Time for which jobs ran.", ("server", "workflow"))
RUNS = Metric("atelier_runs_total", "counter", "Runs of jobs that were measured.", ("server",))
EXPECTED_SECONDS = Metric(
    "atelier_run_expected_seconds_total", "counter", "Time that completed runs were expected to take.", ("workflow",)
)
MEASURED_SECONDS = Metric(
    "atelier_run_measured_seconds_total", "counter", "Time that the same runs took.", ("workflow",)
)
START_ERRORS = Metric(
    "atelier_start_error_seconds", "histogram", "By how much the first expected start of a job was wrong."
)
OVERTAKEN = Metric(
    "atelier_starts_overtaken_total", "counter", "Jobs that started after a later one, so that no start was known."
)

SERVER_UP = Metric(
    "atelier_server_up", "gauge", "1 if the server answers and its websocket is open, else 0.", ("server",)
)
SERVER_DRAINED = Metric("atelier_server_drained", "gauge", "1 if the server gets no new jobs, else 0.", ("server",))
SERVER_FOREIGN = Metric(
    "atelier_server_foreign_prompts", "gauge", "Prompts of other clients on the server.", ("server",)
)
MODEL_LOADS = Metric(
    "atelier_model_loads_total", "counter", "Jobs for which the server had to load other models.", ("server",)
)
RECONNECTS = Metric(
    "atelier_server_reconnects_total", "counter", "Websockets that were opened after the first one.", ("server",)
)
CATCH_UPS = Metric(
    "atelier_catch_ups_total", "counter", "Queries that found out what a websocket had missed.", ("server",)
)
FAILED_CATCH_UPS = Metric("atelier_catch_ups_failed_total", "counter", "Such queries that failed.", ("server",))

DISCORD_CONNECTED = Metric("atelier_discord_connected", "gauge", "1 if Discord's gateway is connected, else 0.")
DISCORD_LATENCY = Metric("atelier_discord_latency_seconds", "gauge", "Time to Discord's gateway and back.")
DISCORD_SESSIONS = Metric(
    "atelier_discord_sessions_total", "counter", "Sessions of the gateway: new ones and resumed ones.", ("kind",)
)
DISCORD_REQUESTS = Metric(
    "atelier_discord_requests_total",
    "counter",
    "Requests to Discord's REST API, by status; 429 is too many, none is no answer.",
    ("method", "status"),
)

JOURNAL_WRITABLE = Metric("atelier_journal_writable", "gauge", "1 if jobs can be recorded, else 0.")
COMMITS = Metric("atelier_journal_commit_seconds", "histogram", "Time for one commit of the journal.")

ENGINE_UP = Metric("atelier_engine_up", "gauge", "1 if the engine can be used, else 0.")
ENGINE_ROUND_TRIP = Metric("atelier_engine_round_trip_seconds", "gauge", "Time to the engine and back.")
WORKERS = Metric("atelier_workers", "gauge", "Workers that are there.")
WORKER_LAG = Metric(
    "atelier_worker_lag_seconds",
    "gauge",
    "Time since the last sign of the worker that offers the server; up to 2 is usual.",
    ("server",),
)
FRONT_ACTIVE = Metric("atelier_front_active", "gauge", "1 if this front is the active one, 0 if it is on standby.")
FRONT_EPOCH = Metric("atelier_front_epoch", "gauge", "How often a front has become active.")
LEASE_LEFT = Metric(
    "atelier_front_lease_seconds", "gauge", "For how long the active front stays it unless it renews its lease."
)
STANDBYS = Metric("atelier_standby_fronts", "gauge", "Fronts on standby that follow the journal.")
STANDBY_BATCHES = Metric(
    "atelier_standby_behind_batches", "gauge", "Batches of the journal that a front on standby lacks.", ("front",)
)
STANDBY_SECONDS = Metric(
    "atelier_standby_behind_seconds",
    "gauge",
    "For how long a front on standby has lacked the first of them.",
    ("front",),
)
FRONT_SHARDS = Metric(
    "atelier_front_shards", "gauge", "Shards of Discord's gateway that a front has connected.", ("front",)
)
RELAYED_EVENTS = Metric(
    "atelier_relayed_events_total",
    "counter",
    "Events of shards: relayed to the active front, dropped, or received too late to answer.",
    ("result",),
)

LOOP_LAG = Metric("atelier_loop_lag_seconds", "histogram", "How late the event loop wakes a task.")
MEDIA_WORKERS = Metric("atelier_media_workers", "gauge", "Media workers that run.")
MEDIA_MEMORY = Metric("atelier_media_worker_memory_bytes", "gauge", "Memory of all media workers together.")
MEMORY = Metric("process_resident_memory_bytes", "gauge", "Memory of the bot without its media workers.")
CPU = Metric("process_cpu_seconds_total", "counter", "Processor time of the bot without its media workers.")
FILES = Metric("process_open_fds", "gauge", "Files and sockets that the bot has open.")
STARTED = Metric("process_start_time_seconds", "gauge", "When the bot started, in seconds since 1970.")

METRICS: tuple[Metric, ...] = (
    *(INFO, JOBS, ACCEPTED, ENDED, LONGEST_WAIT, WAITS, RUN_SECONDS, RUNS, EXPECTED_SECONDS, MEASURED_SECONDS),
    *(START_ERRORS, OVERTAKEN, SERVER_UP, SERVER_DRAINED, SERVER_FOREIGN, MODEL_LOADS, RECONNECTS, CATCH_UPS),
    *(FAILED_CATCH_UPS, DISCORD_CONNECTED, DISCORD_LATENCY, DISCORD_SESSIONS, DISCORD_REQUESTS, JOURNAL_WRITABLE),
    *(COMMITS, ENGINE_UP, ENGINE_ROUND_TRIP, WORKERS, WORKER_LAG, FRONT_ACTIVE, FRONT_EPOCH, LEASE_LEFT, STANDBYS),
    *(STANDBY_BATCHES, STANDBY_SECONDS, FRONT_SHARDS, RELAYED_EVENTS),
    *(LOOP_LAG, MEDIA_WORKERS, MEDIA_MEMORY, MEMORY, CPU, FILES, STARTED),
)
"""All metrics, in the order in which they are written."""


class Metrics:
    """Reads the figures when somebody asks. A part of the bot that is not open yet is left out.

    It runs without a pause in the event loop of the registry, so that it sees one state of it.
    """

    def __init__(self, sources: Sources, lags: Histogram, *, started: float) -> None:
        self._sources = sources
        self._lags = lags
        self._started = started
        self._labels = ServerLabels()
        self._kept: KeptLines = {}

    def text(self) -> str:
        """The figures in Prometheus' text format."""
        sources, exposition = self._sources, Exposition(self._kept)
        exposition.add(INFO, [((__version__,), 1)])
        if sources.work is not None:
            self._add_work(exposition, sources.work)
        if sources.discord is not None:
            _add_discord(exposition, sources.discord)
        if sources.journal is not None:
            _add_journal(exposition, sources.journal)
        if sources.engine is not None:
            exposition.add_one(ENGINE_UP, int(sources.engine.is_reachable))
            exposition.add_one(ENGINE_ROUND_TRIP, sources.engine.round_trip)
        if (at_work := sources.workers) is not None:
            exposition.add_one(WORKERS, at_work.here)
            exposition.add(WORKER_LAG, self._longest_by_server(at_work.lags))
        if sources.fronts is not None:
            _add_fronts(exposition, sources.fronts)
        exposition.add_histogram(LOOP_LAG, self._lags)
        workers = sources.discord.media_workers if sources.discord is not None else frozenset[int]()
        exposition.add_one(MEDIA_WORKERS, len(workers))
        exposition.add_one(MEDIA_MEMORY, total_resident_bytes(workers))
        exposition.add_one(MEMORY, resident_bytes())
        exposition.add_one(CPU, time.process_time())
        exposition.add_one(FILES, open_files())
        exposition.add_one(STARTED, self._started)
        return exposition.text()

    def routes(self) -> Sequence[BaseRoute]:
        """The route of the metrics."""

        async def answer(_: Request) -> Response:
            return Response(self.text(), headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)

        return [Route("/metrics", answer)]

    def _add_work(self, exposition: Exposition, work: Work) -> None:
        tally = work.tally
        # As bytes, because ten thousand of them are counted in half of the time.
        states = bytes([job.state for job in work.jobs.values()])
        exposition.add(JOBS, [((state.name.lower(),), states.count(state)) for state in State])
        exposition.add_one(ACCEPTED, tally.accepted)
        exposition.add(ENDED, tally.ended.items())
        exposition.add_one(LONGEST_WAIT, tally.longest_wait(anyio.current_time()))
        exposition.add_histogram(WAITS, tally.waits)
        exposition.add(RUN_SECONDS, self._by_server_and_workflow(tally.run_seconds))
        exposition.add(RUNS, self._by_server(tally.runs.items()))
        exposition.add(EXPECTED_SECONDS, _by_name(tally.expected_seconds))
        exposition.add(MEASURED_SECONDS, _by_name(tally.measured_seconds))
        exposition.add_histogram(START_ERRORS, tally.start_errors)
        exposition.add_one(OVERTAKEN, tally.overtaken)
        self._add_servers(exposition, work.servers)
        exposition.add(MODEL_LOADS, self._by_server(tally.model_loads.items()))
        exposition.add(
            RECONNECTS, self._by_server((server, opened - 1) for server, opened in tally.connections.items())
        )
        exposition.add(CATCH_UPS, self._by_server(tally.catch_ups.items()))
        exposition.add(FAILED_CATCH_UPS, self._by_server(tally.failed_catch_ups.items()))

    def _add_servers(self, exposition: Exposition, servers: Mapping[ServerName, ServerState]) -> None:
        exposition.add(
            SERVER_UP,
            self._by_server((name, int(state.reachable and state.listening)) for name, state in servers.items()),
        )
        exposition.add(SERVER_DRAINED, self._by_server((name, int(state.drained)) for name, state in servers.items()))
        exposition.add(SERVER_FOREIGN, self._by_server((name, state.foreign) for name, state in servers.items()))

    def _by_server(self, values: Iterable[tuple[ServerName, float]]) -> Iterable[tuple[Labels, float]]:
        """The values by label; those of servers that share one are added up."""
        totals: dict[Labels, float] = {}
        for server, value in values:
            label = (self._labels.of(server, self._sources.configured),)
            totals[label] = totals.get(label, 0) + value
        return totals.items()

    def _longest_by_server(self, lags: Mapping[ServerName, tuple[str, float]]) -> Iterable[tuple[Labels, float]]:
        """The lags by label; the longest of those that share one."""
        longest: dict[Labels, float] = {}
        for server, (_, lag) in lags.items():
            label = (self._labels.of(server, self._sources.configured),)
            longest[label] = max(longest.get(label, 0.0), lag)
        return longest.items()

    def _by_server_and_workflow(
        self, values: Mapping[ServerName, Mapping[str, float]]
    ) -> Iterator[tuple[Labels, float]]:
        """The same for values by server and workflow, of which there are thousands."""
        shared: dict[str, float] = {}
        for server, by_workflow in values.items():
            label = self._labels.of(server, self._sources.configured)
            if label == OTHERS:
                for workflow, value in by_workflow.items():
                    shared[workflow] = shared.get(workflow, 0) + value
                continue
            for workflow, value in by_workflow.items():
                yield (label, workflow), value
        for workflow, value in shared.items():
            yield (OTHERS, workflow), value


def _by_name(values: Mapping[str, float]) -> Iterator[tuple[Labels, float]]:
    for name, value in values.items():
        yield (name,), value


def _add_discord(exposition: Exposition, discord: DiscordSource) -> None:
    exposition.add_one(DISCORD_CONNECTED, int(discord.is_connected))
    exposition.add_one(DISCORD_LATENCY, None if math.isnan(discord.latency) else discord.latency)
    # Copied at once, because hikari's thread goes on counting.
    exposition.add(DISCORD_SESSIONS, _by_name(dict(discord.traffic.sessions)))
    exposition.add(DISCORD_REQUESTS, dict(discord.traffic.requests).items())


def _add_journal(exposition: Exposition, journal: JournalSource) -> None:
    exposition.add_one(JOURNAL_WRITABLE, int(not journal.problem))
    exposition.add_histogram(COMMITS, journal.commits)


def _add_fronts(exposition: Exposition, fronts: FrontsSource) -> None:
    exposition.add_one(FRONT_ACTIVE, int(fronts.is_active))
    exposition.add_one(FRONT_EPOCH, fronts.epoch)
    exposition.add_one(LEASE_LEFT, fronts.lease_left)
    standbys = fronts.standbys
    exposition.add_one(STANDBYS, len(standbys))
    exposition.add(STANDBY_BATCHES, [((name,), batches) for name, (batches, _) in standbys.items()])
    exposition.add(STANDBY_SECONDS, [((name,), seconds) for name, (_, seconds) in standbys.items()])
    exposition.add(FRONT_SHARDS, [((name,), shards) for name, shards in fronts.shards.items()])
    exposition.add(RELAYED_EVENTS, [((result,), number) for result, number in fronts.events.items()])
