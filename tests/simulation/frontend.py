"""The frontend of one run of the bot: the real dispatcher, live messages and interactions, in front of a board.

It does what `app.discord.app.DiscordApp` does in Discord; only what hikari does is left out.
"""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from app.actors.operator import OperatorActor
from app.config.settings import Limits
from app.core.jobs.batches import without_parts
from app.core.jobs.job import Job
from app.core.journal_port import JournalError
from app.discord.custom_id import Press
from app.discord.files.upload import BROUGHT_WITHIN
from app.discord.messages.late_edits import LateEdits
from app.discord.messages.live_messages import LiveMessages
from app.discord.messages.open_requests import Answers, OpenRequests
from app.discord.messages.ports import MessageSender
from app.discord.requests.dispatcher import RequestDispatcher
from app.discord.requests.drafts import Drafts
from app.discord.requests.farewell import say_farewell
from app.discord.requests.job_actions import JobActions
from app.discord.requests.job_starter import JobStarter
from app.discord.requests.responder import Responder
from app.discord.ui.components import Card, Upload
from app.discord.ui.forms import Form
from app.discord.ui.job_message import plain, render
from app.discord.ui.job_view import JobView, view_of
from app.discord.user_request import Caller, UserRequest
from app.entry_points import run_request
from app.events import Finished
from app.ports import OpenRequestStore, OtherDisks
from app.reasons.files import PostingNote, ResultDeleted
from app.retention.files import delete_results
from app.service.jobs.job_factory import JobFactory
from app.service.jobs.variations import Variations
from app.service.offers.catalog import Catalog
from app.service.offers.choices import Choices
from app.service.offers.speeds import Speeds
from app.service.people.allowances import Allowances
from app.service.people.moderation import Moderation
from app.service.people.notifications import Notifications
from app.service.requests import AttachedFile
from app.workflows.load import Workflow
from tests.conftest import inline
from tests.simulation.notices import ChosenWays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.application import Services
    from app.core.journal_port import JobHistory
    from app.discord.requests.builtin_commands import BuiltinCommands
    from app.discord.requests.moderator_commands import ModeratorCommands
    from app.events import ServerName
    from tests.simulation.board import Board
    from tests.simulation.offer import Folder
    from tests.simulation.recorder import Recorder

T = TypeVar("T")

PHOTO = io.BytesIO()
"""The picture that people attach."""
Image.new("RGB", (8, 8), "teal").save(PHOTO, "PNG")

GUARDED = frozenset({"cancel", "delete", "edit"})

LOOK = 3.0
"""Seconds between two looks at which servers there are; one (`app.service.offers.catalog.LOOK`) would be more work."""

INBOX = 64
"""Requests that wait for the dispatcher (`app.discord.app.INBOX`)."""

KEEPING = 0.75
"""Seconds that it takes at most to keep a request (`app.discord.gateway.interactions.responses.PATIENCE`)."""

PATIENCE = 1.5
"""Seconds that the core gets to say what is in a form (`app.discord.gateway.interactions.handlers.PATIENCE`)."""


class Surroundings(Struct, frozen=True):
    """What a front has around it. Jobs are shown by `shown_by`, everything else by `sender`, None for the same."""

    shown_by: MessageSender
    folder: Path
    sender: MessageSender | None = None
    is_suspended: Callable[[], bool] = lambda: False
    others: OtherDisks | None = None
    gate: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint
    """Returns once this process does not stand still."""
    settled_after: float | None = None
    """See `app.discord.messages.late_edits.LateEdits`; None if there is only one front."""
    open_requests: OpenRequestStore | None = None
    """Where it is kept who waits for an answer; None if there is only one front."""
    acknowledges: Callable[[Caller], None] = lambda _: None
    """Called when somebody is told that the bot thinks."""
    stop: anyio.Event | None = None
    """Set when the application is to stop."""
    lease: tuple[str, bytes] | None = None
    """See `app.application.open_workers`."""


class SimulatedFrontend:
    """Owns the live messages of one run. The recorder is told of every exception that the dispatcher lets through."""

    def __init__(
        self,
        services: Services,
        job_history: JobHistory,
        workflows: Folder,
        board: Board,
        tasks: TaskGroup,
        clock: Callable[[], float],
        recorder: Recorder,
        answers: Callable[[ServerName], bool],
        around: Surroundings,
        *,
        servers_change: bool,
        notify: str,
    ) -> None:
        self.registry = services.registry
        self._services = services
        self._job_history = job_history
        self._tasks = tasks
        self._recorder = recorder
        self._servers_change = servers_change
        self._gate = around.gate
        self._acknowledges = around.acknowledges
        self._board = board
        self._workflows = workflows
        self._answers = answers
        self._known: set[ServerName] = set()
        """The servers that have said which nodes they have, and are configured since."""
        self._catalog = catalog = Catalog(Path("workflows"), services.configured, lambda _: None)
        self._read()
        variations, notifications = Variations(catalog, job_history), Notifications(ChosenWays(), notify)
        self._open_requests = OpenRequests(around.open_requests)
        self._acknowledging: set[str] = set()
        self.live_messages = LiveMessages(
            tasks,
            services.registry,
            catalog,
            around.shown_by,
            partial(fit, others=around.others),
            open_requests=self._open_requests,
            notifications=notifications,
            hide=job_history.hide_from_gallery,
            possible_changes=variations.possible,
            others=around.others,
            late_edits=LateEdits(job_history, around.settled_after) if around.settled_after is not None else None,
        )
        self.live_messages.now = clock
        self._sender = around.sender or board
        responder = Responder(self._sender, self._open_requests)
        choices, moderation = Choices(services.nodes), Moderation(job_history)
        job_factory = JobFactory(
            catalog,
            choices,
            job_history,
            Photos(),
            around.folder,
            services.draining,
            moderation,
            variations,
            around.is_suspended,
            around.others,
        )
        allowances, drafts = Allowances(Limits(), no_positions, moderation), Drafts(job_history)
        actions = JobActions(
            registry=services.registry,
            job_history=job_history,
            catalog=catalog,
            job_factory=job_factory,
            choices=choices,
            drafts=drafts,
            guarded=GUARDED,
            living=self.live_messages.living,
            delete_results=partial(inline, delete_results),
            others=around.others,
        )
        self._outbox, self._inbox = anyio.create_memory_object_stream[UserRequest](INBOX)
        self._dispatcher = WatchedDispatcher(
            actions=actions,
            starter=JobStarter(catalog, allowances, self.live_messages),
            drafts=drafts,
            registry=services.registry,
            job_history=job_history,
            catalog=catalog,
            job_factory=job_factory,
            variations=variations,
            choices=choices,
            allowances=allowances,
            live_messages=self.live_messages,
            open_requests=self._open_requests,
            responder=responder,
            # Nobody uses the bot's own commands here.
            builtin_commands=cast("BuiltinCommands", None),
            moderator_commands=cast("ModeratorCommands", None),
            guarded=GUARDED,
            server_names={},
            picture_seconds=Speeds().seconds,
        )
        self._dispatcher.watched = self._watched

    async def live(self, opened: Callable[[], None]) -> None:
        """Follow unfinished jobs again, and carry out what people want until the bot stops."""
        with self._outbox, self._inbox:
            self._tasks.start_soon(self._watch_servers, name="servers")
            await self.live_messages.resume_all(without_parts(await self._job_history.unfinished()))
            operator = OperatorActor(self._job_history, self.registry, self.live_messages.begin_again)
            self._tasks.start_soon(operator.run, name="operator")
            answers = cast("Answers", self._sender)
            self._tasks.start_soon(self._open_requests.watch, answers, self._job_history.find, name="open requests")
            self._tasks.start_soon(self._dispatcher.run, self._inbox, name="dispatcher")
            opened()
            await self._services.shutdown.wait()
            await say_farewell(self._is_idle, self._dispatcher, self.live_messages)
            self._tasks.cancel_scope.cancel()

    def _is_idle(self) -> bool:
        waits = self._acknowledging or self._inbox.statistics().current_buffer_used
        return not waits and self._dispatcher.is_idle

    async def _watch_servers(self) -> None:
        """Keep what is offered, and where jobs may go, up to date with the servers: `app.discord.app._watch_folder`.

        Where no server changes, until all have said what they can run.
        """
        offered = None
        while True:
            if offered != (able := self._catalog.offered()):
                await self.registry.offer(able)
                offered = able
            if not self._servers_change and len(self._known) == len(self._services.configured):
                return
            await anyio.sleep(LOOK)
            self._read()

    def _read(self) -> None:
        """Ask the servers that have not said yet which nodes they have, and read the folder."""
        configured = self._services.configured
        self._known = {name for name in configured if name in self._known or self._answers(name)}
        self._workflows.read(self._catalog, configured, self._known)
        self._recorder.servers.offers(self._catalog.offered() or {})

    def tell(self, request: UserRequest) -> None:
        """Carry out what somebody wants."""
        self._tasks.start_soon(self._send, request, name="request")

    async def _send(self, request: UserRequest) -> None:
        await self._gate()
        caller = request.caller
        if not self._services.shutdown.is_set():
            await self._acknowledge(request)
        elif caller.fresh:
            # The first answer says that the bot stops, and nobody else sees it.
            self._board.messages[int(caller.message)].delete()

    async def _acknowledge(self, request: UserRequest) -> None:
        """See `app.discord.gateway.interactions.responses.Acknowledgements.acknowledge`."""
        caller = request.caller
        self._acknowledging.add(caller.token)
        try:
            if caller.fresh and self._open_requests.is_shared:
                with anyio.move_on_after(KEEPING):
                    await self._open_requests.expect(caller.token, request.typed)
            await self._gate()
            self._acknowledges(caller)
            await self._outbox.send(request)
        finally:
            self._acknowledging.discard(caller.token)

    def _watched(self, what: str, work: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """The same, and all is told that the boundary hides: only the journal may fail here."""

        async def watched() -> T:
            try:
                return await work()
            except Exception as error:
                if not isinstance(error, JournalError):
                    self._recorder.broke(what, error)
                raise

        return watched

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """What is in a button's form; a sentence where the bot says so, does not answer in time, or dies."""
        over, answer = anyio.Event(), list[Form | str | None]()

        async def ask() -> None:
            await self._gate()
            answer.append(await self._dispatcher.form(press, caller))

        async def ask_and_say() -> None:
            await run_request(self._watched(f"the dispatcher broke on the form of {press!r}", ask), "a form failed")
            over.set()

        self._tasks.start_soon(ask_and_say, name="form")
        with anyio.move_on_after(PATIENCE):
            await over.wait()
        return answer[0] if answer else "The bot is busy: try again in a moment."


class WatchedDispatcher(RequestDispatcher):
    """The dispatcher; all is told that its boundary hides."""

    watched: Callable[[str, Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]

    async def take(self, request: UserRequest) -> None:
        """See `RequestDispatcher`."""
        await self.watched(f"the dispatcher broke on {request!r}", partial(super().take, request))()


async def no_positions(guild: str) -> Mapping[str, int]:
    """Nobody has roles here."""
    del guild
    return {}


class Photos:
    """Every file that somebody attaches is a small picture."""

    async def take(self, file: AttachedFile, kind: str, to: Path, person: str) -> Path:
        del file, kind, person
        await anyio.lowlevel.checkpoint()
        path = to.with_name(f"{to.name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PHOTO.getvalue())
        return path


@asynccontextmanager
async def fit(
    files: Sequence[str], limit: int, person: str, *, made: bool = True, others: OtherDisks | None = None
) -> AsyncGenerator[tuple[list[Upload], list[PostingNote]]]:
    """See `app.discord.messages.ports.PrepareFiles`: every file is small enough here, whoever it belongs to."""
    del person
    await anyio.lowlevel.checkpoint()
    if files and others is not None:
        await others.bring(files, BROUGHT_WITHIN)
    yield uploads(files)


def uploads(files: Sequence[str]) -> tuple[list[Upload], list[PostingNote]]:
    """Files with their bytes, and a note if one is gone."""
    found = [Upload(path.name, data=path.read_bytes()) for file in files if (path := Path(file)).is_file()]
    return found, [ResultDeleted()] if len(found) < len(files) else []


def last_cards(job: Job, workflows: Mapping[str, Workflow], *, beside: bool = True) -> tuple[Card, ...]:
    """What a job's message must say in the end, and the messages that continue it.

    Its result is shown `beside` what it was made from.
    """
    shown, terminal_update = _view(job, workflows), job.terminal_update
    shown.terminal_update = terminal_update
    files = terminal_update.files if isinstance(terminal_update, Finished) else ()
    before = uploads([shown.before])[0] if beside and shown.before and len(files) == 1 else []
    return render(shown, uploads(files)[0], replace(before[0], name=f"before-{before[0].name}") if before else None)


def plain_card(job: Job) -> Card:
    """What a job's message says in the end if Discord does not take the result."""
    return plain(_view(job, {}))


def _view(job: Job, workflows: Mapping[str, Workflow]) -> JobView:
    return view_of(job.request, workflows.get(job.request.workflow), (), spoiler=False)
