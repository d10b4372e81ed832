"""Records what happens in a world, for the invariants to check."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from app.actors.handle import Command, Registry, Submit, Updates, Watch
from app.actors.registry import PromptRegistry
from app.core.effects import Effect
from app.core.jobs.job import Job, State
from app.core.reconciler import Message
from app.core.scheduling.queue.levels import TOLERANCE
from app.core.scheduling.queue.queued_job import NOWHERE, Servers
from app.core.servers.state import FAILOVER_RUNNING
from app.discord import message_ref
from app.events import JobId, PromptId, ServerName
from app.ports import Graph
from tests.simulation.edit_record import EditRecord
from tests.simulation.network import Network
from tests.simulation.offer import streams
from tests.simulation.plan import Kind
from tests.simulation.queue_record import QueueRecord
from tests.simulation.server_record import ServerRecord

UNTOLD = "json_extract(CAST(record AS TEXT), '$.told') IS NOT TRUE"
"""Jobs whose terminal update was not shown; the column `told` is 1 only once no server has the job either."""

FIRST = "CASE lead WHEN '' THEN id ELSE lead END"
"""The first job of the batch that a job belongs to, or the job itself."""

OVER = {"finished", "failed", "cancelled", "lost"}
"""The states of a job that no server works on any more."""

ERRANDS = {kind.__name__ for kind in Effect.__args__}
"""The names of the registry's tasks for effects."""


PROBED = 45.0
"""Seconds within which a server that is away has been asked again, however long it takes to say nothing."""


class Taken(Struct, frozen=True):
    """A prompt that a server accepted, and in which of its processes."""

    network: Network
    life: int
    prompt: PromptId


class Recorder:
    """Owns what was seen. `path` is the journal's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.told: dict[JobId, bool] = {}
        """For each job that somebody was told of: whether the journal had it by then."""
        self.wrong: list[str] = []
        """Invariants that were broken during the run."""
        self.taken: defaultdict[JobId, list[Taken]] = defaultdict(list)
        self.taken_away: set[str] = set()
        """Prompts that somebody else deleted or cleared: only these may run again in the same life of a server."""
        self.interrupted: set[str] = set()
        """Prompts that somebody else interrupted."""
        self.withdrawn: dict[PromptId, float] = {}
        """When a server first dropped a prompt that we cancelled."""
        self.asked_back: dict[JobId, float] = {}
        """When a person cancelled a job."""
        self.deleted: set[JobId] = set()
        """Jobs whose result somebody asked to delete: its files may be gone."""
        self.ill: list[tuple[float, float]] = []
        """Since when and until when something was wrong, or may have been."""
        self.armed: list[Kind] = []
        """Unexpected exceptions that the next job that comes their way will meet."""
        self.hurt: set[JobId] = set()
        """Jobs that met one: only these may fail because something went wrong."""
        self._hurt_batches: set[JobId] = set()
        """The first jobs of the batches that some of them belong to."""
        self.unshown: set[JobId] = set()
        """Those of them whose message could not be shown, until the next life shows it."""
        self.unshowable: set[JobId] = set()
        """All jobs that were ever `unshown`."""
        self.rights: defaultdict[str, set[Servers]] = defaultdict(set)
        """The servers that each person ever waited for."""
        self.least_served: dict[str, float] = {}
        """What those who wait were served at least, also after what is in flight is corrected, in the latest turn."""
        self.previews: defaultdict[bytes, set[str]] = defaultdict(set)
        """For each preview: the prompts that were running when it was made, one for each server."""
        self.edits = EditRecord()
        self.servers = ServerRecord(self.wrong.append, self.well)
        self._queues = QueueRecord(self.well)
        self.fetched: Counter[str] = Counter()
        """How often each file was asked for, by its path."""
        self._marked: set[tuple[Kind, str]] = set()
        self._registry: PromptRegistry | None = None
        self._mailboxes: list[Updates] = []

    @cached_property
    def journal(self) -> sqlite3.Connection:
        """The journal, read by somebody else; open from the first look on."""
        return sqlite3.connect(self._path)

    def close(self) -> None:
        """Nothing more will be read."""
        if "journal" in self.__dict__:
            self.journal.close()
            del self.journal

    @property
    def path(self) -> Path:
        """The journal that counts."""
        return self._path

    def move(self, path: Path) -> None:
        """From now on another journal counts: another front writes it."""
        self.close()
        self._path = path

    def saw(self, job: JobId) -> None:
        """A job is about to be shown."""
        if job and job not in self.told:
            self.told[job] = self._find("id", job) is not None

    @property
    def networks(self) -> list[Network]:
        """All of this world's."""
        return self.servers.networks

    def took(self, network: Network, prompt: PromptId, graph: Graph) -> None:
        """A server takes a prompt."""
        if (job := self._find("prompt", prompt)) is None:
            self.wrong.append(f"{prompt} was sent before it was in the journal")
            return
        if self.edits.is_edited(job) and not self.edits.counts(job, graph):
            self.wrong.append(f"{job} was sent as it was before or after another edit")
        again = [
            other
            for other in self.taken[job]
            if other.life == other.network.life and other.prompt not in self.taken_away
        ]
        # A picture that comes through the websocket may pass while nobody listens: it is made once more.
        allowed = self._moves(job) + (1 if streams(self._workflow_of(job)) else 0)
        for other in again[allowed:]:
            self.wrong.append(f"{job} was taken twice in life {other.life} of {other.network.name}")
        self.taken[job].append(Taken(network, network.life, prompt))

    def was_taken(self, job: JobId) -> bool:
        """Whether a server ever took a prompt of a job, or of the batch that it leads."""
        rows = self.journal.execute("SELECT id FROM jobs WHERE id = ? OR lead = ?", (job, job))
        return any(self.taken[JobId(found)] for (found,) in rows)

    def withdrew(self, prompt: PromptId) -> None:
        """A server dropped a prompt, or stops it, because we asked it to."""
        self.withdrawn.setdefault(prompt, anyio.current_time())

    def well(self, since: float, until: float) -> bool:
        """Whether nothing was wrong all this time."""
        return all(end < since or begin > until for begin, end in self.ill)

    def ended_by_itself(self, error: BaseException | None) -> None:
        """The process ended, and nobody had asked for it."""
        self.wrong.append(f"the process ended by itself: {_flat(error)}")

    def broke(self, what: str, error: Exception) -> None:
        """An exception came out of an entry point."""
        self.wrong.append(f"{what}: {error!r}")

    def not_shown(self, job: JobId) -> None:
        """Its message could not be shown because of an unexpected exception."""
        self.hurt.add(job)
        self.unshown.add(job)
        self.unshowable.add(job)

    def owner_of(self, job: JobId) -> str:
        """Whose job it is."""
        found = self.journal.execute("SELECT owner FROM jobs WHERE id = ?", (job,)).fetchone()
        return str(found[0]) if found is not None else ""

    def is_hurt(self, job: Job) -> bool:
        """Whether a job met an unexpected exception, or another one of the batch that it leads."""
        return job.id in self.hurt | self._hurt_batches

    def is_asked_back(self, job: Job) -> bool:
        """Whether somebody cancelled a job, or the batch that it belongs to."""
        return not self.asked_back.keys().isdisjoint({job.id, job.request.lead})

    def is_deleted(self, job: Job) -> bool:
        """Whether somebody asked to delete the results of a job, or of the batch that it belongs to."""
        return not self.deleted.isdisjoint({job.id, job.request.lead})

    def knows_deleted(self, job: JobId) -> bool:
        """Whether the journal says that the message of a job is deleted."""
        query = "SELECT json_extract(CAST(record AS TEXT), '$.place') FROM jobs WHERE id = ?"
        found = self.journal.execute(query, (job,)).fetchone()
        place = message_ref.read(str(found[0] or "")) if found is not None else None
        return place is not None and place.deleted

    def _moves(self, job: JobId) -> int:
        """How often it moved to another server because the first did not come back."""
        counted = "SELECT count(*) FROM transitions WHERE job = ? AND (cause LIKE ? OR cause LIKE ?)"
        row = self.journal.execute(counted, (job, "%did not come back%", "%no longer configured%")).fetchone()
        return int(row[0])

    def _workflow_of(self, job: JobId) -> str:
        found = self.journal.execute("SELECT workflow FROM jobs WHERE id = ?", (job,)).fetchone()
        return str(found[0]) if found is not None else ""

    def waiting(self) -> set[JobId]:
        """Jobs whose terminal update was not shown; of a batch, the first one."""
        return {JobId(job) for (job,) in self.journal.execute(f"SELECT {FIRST} FROM jobs WHERE {UNTOLD}")}

    def done_since(self) -> dict[JobId, float]:
        """Since when servers are done with the current attempts of jobs whose terminal update was not shown.

        A batch counts as one job.
        """
        query = f"SELECT {FIRST}, state, prompt FROM jobs WHERE {UNTOLD}"
        ended = [network.simulator.ended_at for network in self.networks if not network.dead]
        done: defaultdict[JobId, float] = defaultdict(lambda: float("-inf"))
        for job, state, prompt in self.journal.execute(query):
            at = max((times[prompt] for times in ended if prompt in times), default=None)
            if at is None or state not in {"queued", "running", "finished"}:
                # Of a batch, others may have ended before.
                at = float("-inf") if state in OVER else float("inf")
            done[JobId(job)] = max(done[JobId(job)], at)
        return {job: at for job, at in done.items() if abs(at) < float("inf")}

    def made(self) -> set[JobId]:
        """Those of them that no server works on any more."""
        rows = self.journal.execute(f"SELECT {FIRST}, state FROM jobs WHERE {UNTOLD}").fetchall()
        return {JobId(job) for job, _ in rows} - {JobId(job) for job, state in rows if state not in OVER}

    def left_at_servers(self) -> set[JobId]:
        """Jobs that are over for their person, and that a server may still have that is not gone for good."""
        jobs = self._registry._job_table.jobs.values() if self._registry is not None else ()
        return {job.id for job in jobs if job.notified and not self._is_lost(job)}

    def _is_lost(self, job: Job) -> bool:
        """Whether it is only to be dropped at a server that is gone for good."""
        dead = {network.name for network in self.networks if network.dead}
        return job.notified and all(leftover.server in dead for leftover in job.leftovers)

    def ask_as_operator(self, verb: str, which: int) -> None:
        """Leave a request about a job in the journal, as another process does; before the first life there is none."""
        if self.journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'requests'").fetchone() is None:
            return
        jobs = self.journal.execute("SELECT id, told FROM jobs ORDER BY number").fetchall()
        found = [JobId(job) for job, told in jobs if verb == "cancel" or told]
        if not found:
            return
        job = found[which % len(found)]
        if verb == "cancel":
            self.asked_back.setdefault(job, anyio.current_time())
        with self.journal:
            self.journal.execute("INSERT INTO requests (at, verb, job) VALUES (0, ?, ?)", (verb, job))

    def drain(self, name: ServerName, *, drained: bool) -> None:
        """Drain or resume a server in the journal, as another process does; before the first life there is none."""
        if self.journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'servers'").fetchone() is None:
            return
        self.servers.wants_drained(name, drained=drained)
        with self.journal:
            self.journal.execute(
                "INSERT INTO servers (name, drained, at, person) VALUES (?, ?, 0, '')"
                " ON CONFLICT (name) DO UPDATE SET drained = excluded.drained",
                (name, int(drained)),
            )

    def breaks_prompt(self, kind: Kind, prompt: PromptId) -> bool:
        """Whether this raises for the job of this prompt: then it does so each time."""
        if kind not in self.armed and not self._marked:
            return False
        job = self._find("prompt", prompt)
        return job is not None and self._breaks(kind, prompt, job)

    def breaks_file(self, kind: Kind, path: Path) -> bool:
        """The same for a result on its way to this path."""
        if kind not in self.armed and not self._marked:
            return False
        job = self._job_of(path)
        return job is not None and self._breaks(kind, str(path), job)

    def _job_of(self, path: Path) -> JobId | None:
        """The job that a result is of; of a batch, the one whose number it has."""
        named = re.search(r"-([0-9a-f]{8})-(\d+)(-\d+)?$", path.stem.partition(".")[0])
        if named is None:
            return None
        query = (
            "SELECT id FROM jobs WHERE substr(CASE lead WHEN '' THEN id ELSE lead END, 1, 8) = ?"
            " ORDER BY json_extract(CAST(wish AS TEXT), '$.part') = ? DESC, lead = '' DESC"
        )
        found = self.journal.execute(query, (named[1], int(named[2]) - 1)).fetchone()
        return None if found is None else JobId(found[0])

    def breaks_job(self, kind: Kind, job: JobId) -> bool:
        """The same for a job."""
        return self._breaks(kind, job, job)

    def _breaks(self, kind: Kind, key: str, job: JobId) -> bool:
        if (kind, key) in self._marked:
            return True
        if kind not in self.armed:
            return False
        self.armed.remove(kind)
        self._marked.add((kind, key))
        self.hurt.add(job)
        found = self.journal.execute("SELECT lead FROM jobs WHERE id = ?", (job,)).fetchone()
        self._hurt_batches.update(found or ())
        return True

    def _find(self, column: str, value: str) -> JobId | None:
        found = self.journal.execute(f"SELECT id FROM jobs WHERE {column} = ?", (value,)).fetchone()
        if found is None and column == "prompt":
            # Another front may have gone on with the job since this was sent.
            found = self.journal.execute("SELECT job FROM transitions WHERE prompt = ?", (value,)).fetchone()
        return None if found is None else JobId(found[0])

    def registry(self) -> type[PromptRegistry]:
        """A registry that is watched."""
        recorder = self

        class Witnessed(PromptRegistry):
            is_new = True

            async def run(self, *, task_status: TaskStatus[Registry] = TASK_STATUS_IGNORED) -> None:
                recorder._registry = self
                recorder._mailboxes.clear()
                recorder.servers.attach(self)
                await super().run(task_status=task_status)

            def _take(self, message: Command | Message) -> None:
                if isinstance(message, (Submit, Watch)):
                    recorder._mailboxes.append(message.updates)
                if isinstance(message, Submit):
                    recorder.edits.submitted(message.request)
                recorder.servers.taken(self, message)
                super()._take(message)

            async def _act(self, helpers: TaskGroup) -> None:
                edits = recorder.edits.begins(self._edits)
                full = self._job_table.downloads.waits_for_room
                sent = posting(self) if full else set[JobId]()
                await super()._act(helpers)
                if full:
                    late = posting(self) - sent
                    recorder.wrong += [f"{job} is sent although results wait for room" for job in late]
                recorder.edits.answered(edits)
                recorder.wrong += idle(self, recorder.servers)
                recorder.wrong += unfair(self, recorder.rights, recorder.servers)
                if self.is_new:
                    recorder.wrong += forgotten(self, recorder.least_served)
                self.is_new, recorder.least_served = False, least_served(self, recorder.rights)
                recorder.wrong += stranded(self, anyio.current_time(), recorder.servers.changed_at)
                recorder.wrong += recorder.servers.unheard()
                recorder.wrong += recorder._queues.untrue(self, recorder.networks)

        return Witnessed

    def left_over(self) -> Iterator[str]:
        """What is still held or at work, although everything has ended."""
        if (registry := self._registry) is None:
            return
        job_table, scheduler = registry._job_table, registry._scheduler
        held = {
            "jobs": [job.id for job in job_table.jobs.values() if not self._is_lost(job)],
            "prompts": [prompt for prompt, job in job_table.prompts.items() if not self._is_lost(job)],
            "downloads": job_table.downloads._downloads,
            "abandoned downloads": job_table.downloads._abandoned,
            "deadlines": job_table.cancel_deadlines,
            "jobs that were not counted when they ended": [
                name
                for name in job_table.tally._open
                if (job := job_table.jobs.get(name)) is None or not self._is_lost(job)
            ],
            "meters": job_table.trackers,
            "to be journalled": job_table.changed,
            "to be told": job_table.updates,
            "to be done": job_table.effects,
            "stories": job_table.transitions,
            "watchers": registry._watchers._watchers,
            "arrivals": registry._watchers._arrivals,
            "positions": scheduler.line._queued_updates,
            "charges": scheduler._accounting._charges,
            "starts": job_table.started,
            "batches": job_table.batches._members,
            "progress of batches": job_table.batches._progress,
            "waiting": scheduler._times._known,
            "to be looked at": job_table.touched,
            "looks": [name for name, server_state in registry._reconciler.servers.items() if server_state.querying],
            "mailboxes": [box for box in self._mailboxes if box._pending or not box._closed],
            "tasks": [name for task in anyio.get_running_tasks() if _finite(name := task.name or "")],
        }
        if left := {name: list(table) for name, table in held.items() if table}:
            yield f"nothing is left to do, but there are {left}"
        yield from self.servers.left_over(registry)
        if waiting := registry._inbox.statistics().current_buffer_used:
            yield f"nothing is left to do, but {waiting} words wait in the registry's inbox"


def posting(registry: PromptRegistry) -> set[JobId]:
    """Jobs whose prompts are on their way to servers."""
    jobs = registry._job_table.jobs.values()
    return {job.id for job in jobs if job.attempt is not None and job.attempt.posting}


def idle(registry: PromptRegistry, servers: ServerRecord) -> Iterator[str]:
    """Servers that run nothing although a job waits that may go there: never, once a turn is over.

    A server gets one POST after the other, so it is not free before the last was answered. Its waiting place may stay
    empty: only a job with the same models goes there. A server where jobs failed in a row may stay idle while another
    one that can run the job is there, and so may one that ran out of memory with such a job. While results wait for
    room on the disk, nothing is sent.
    """
    job_table, scheduler = registry._job_table, registry._scheduler
    waiting = list(scheduler._queue.waiting())
    if not waiting or not scheduler.line.open or not scheduler.line.has_room:
        return
    for name, server_state in scheduler._servers.items():
        attempts = [attempt for _, attempt in job_table.prompts.occupying(name)]
        if (
            not servers.takes_jobs(name, server_state)
            or len(attempts) >= scheduler._places._depth
            or any(one.posting for one in attempts)
        ):
            continue
        if any(True for _ in job_table.prompts.in_flight(name)):
            continue
        for job in waiting:
            others = (
                other
                for other, state in scheduler._servers.items()
                if other != name and state.takes_jobs and job.runs_on(other) and not state.rest.resting
            )
            work, workflow = scheduler._times._known[job.job].work, job_table.jobs[job.job].request.workflow
            runs = job.runs_on(name) or servers.may_run(workflow, name)
            rest = server_state.rest
            spared = rest.resting or (rest.in_trouble and bool(attempts))
            spared |= not scheduler._spared._memory_limits.fits(workflow, name, work)
            if runs and not (spared and any(others)):
                yield f"{job.job} waits, although {name} has a place"


def unfair(registry: PromptRegistry, rights: dict[str, set[Servers]], servers: ServerRecord) -> Iterator[str]:
    """People who wait for the same servers, of whom one was served more than the bound allows beyond another.

    The corrections of jobs in flight widen the bound: each by at most the largest charge. `rights` collects the servers
    that each person ever waited for: those who were served elsewhere before may be further ahead.
    """
    queue = registry._scheduler._queue
    for name, person in queue._people.items():
        rights[name].update(servers.rights(each, registry) for each in person.jobs)
    in_flight = len(registry._scheduler._accounting._charges)
    bound = TOLERANCE + (1 + in_flight) * queue.largest + 1e-6
    by_servers: dict[Servers, list[tuple[float, str]]] = defaultdict(list)
    for name, person in queue._people.items():
        if len(rights[name]) == 1 and NOWHERE not in person.jobs:
            by_servers[next(iter(rights[name]))].append((person.served, name))
    for people in by_servers.values():
        (least, behind), (most, ahead) = min(people), max(people)
        if most - least > bound:
            yield f"{ahead} was served {most:.0f} s and {behind} {least:.0f} s; the bound is {bound:.0f} s"


def least_served(registry: PromptRegistry, rights: Mapping[str, set[Servers]]) -> dict[str, float]:
    """What those who wait were served at least, even if everything in flight turns out to be shorter than expected."""
    queue = registry._scheduler._queue
    corrections = (1 + len(registry._scheduler._accounting._charges)) * queue.largest
    return {name: one.served - corrections for name, one in queue._people.items() if len(rights[name]) == 1}


def forgotten(registry: PromptRegistry, before: Mapping[str, float]) -> Iterator[str]:
    """People who wait as before a restart, and of whom it is no longer known what they were served.

    Those whom no server can serve at the moment start with its level only when there is one.
    """
    for name, person in registry._scheduler._queue._people.items():
        if NOWHERE not in person.jobs and person.served < (least := before.get(name, 0.0)):
            yield f"{name} was served at least {least:.0f} s, and after a restart only {person.served:.0f} s"


def stranded(registry: PromptRegistry, now: float, changed_at: float) -> Iterator[str]:
    """Jobs that a server has which does not come back, although another one that can run them is there.

    `changed_at` is when the other one may have been added or resumed.
    """
    servers = registry._reconciler.servers
    for name, server_state in servers.items():
        for job, attempt in registry._job_table.prompts.in_flight(name):
            patience = server_state.failover_after * (FAILOVER_RUNNING if job.state >= State.RUNNING else 1)
            due = max(server_state.away_since + patience, changed_at) + PROBED
            if attempt.posting or job.cancelling or now < due:
                continue
            if any(servers[other].takes_jobs for other in registry._reconciler.able.of(job.request)):
                yield f"{job.id} waits for {name}, which does not come back, although others could run it"


def _finite(name: str) -> bool:
    return name in ERRANDS or name.startswith("interaction") or name in {"form", "Pressed", "Ordered"}


def _flat(error: BaseException | None) -> str:
    """All that was raised, in one line."""
    match error:
        case None:
            return "without an exception"
        case BaseExceptionGroup(exceptions=parts):  # pyright: ignore[reportUnknownVariableType]
            return ", ".join(_flat(part) for part in parts)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return repr(error)
