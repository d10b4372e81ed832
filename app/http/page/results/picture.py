"""The page of one job: its result, what made it, what it was made from and into, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath

from anyio import to_thread
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.core.gallery import GalleryQuery, model_of, prompt_of
from app.core.jobs.job import Job, State
from app.events import Failed, Finished, Lost
from app.http.page.context import PageContext
from app.http.page.guard import for_viewers, parts_of
from app.http.page.parts import PageParts
from app.http.page.rendering import render
from app.http.page.results.files import FileAddresses, before_of, file_name
from app.http.page.results.people import names_of_people
from app.http.page.results.ratios import ratio_class
from app.http.page.results.searching import Refused, Search, query_of, read_search
from app.http.page.results.tiles import TileView, name_of, tile_views
from app.ports import RunSync
from app.service.job_settings import Setting, command_line, needs_files, settings_of
from app.service.page_actions import NO, YES, PageAction, PageField
from app.service.people.viewer import Viewer
from app.service.results.files import ResultFile, look_at
from app.service.results.gallery import Tile
from app.texts import page as texts
from app.texts.discord.job_message import size as size_text
from app.texts.discord.job_message import took
from app.texts.model_names import model_name
from app.texts.reasons.text import reason_text
from app.texts.server_names import UNNAMED
from app.workflows.load import Workflow

MOST_RELATIVES = 12
"""Results that are shown as made from one."""


LONGEST_HEADING = 80
"""Characters of a prompt that stands above everything in large letters; a longer one is a text."""


class FileView(Struct, frozen=True, kw_only=True):
    """A file of the result as the template shows it. `address` is "" if it was deleted, `thumbnail` if it has none."""

    number: int
    kind: str
    address: str
    thumbnail: str
    page: str
    name: str
    width: int
    height: int
    shape: str
    alt: str
    size: str


class FieldView(Struct, frozen=True):
    """A field of an action, and what stands in it."""

    field: PageField
    value: str

    @property
    def is_on(self) -> bool:
        """Whether yes is chosen."""
        return self.value == YES


class ActionView(Struct, frozen=True):
    """An action as the template shows it; its form is open if it was refused, to be tried again."""

    action: PageAction
    fields: tuple[FieldView, ...]
    is_open: bool


class Tried(Struct, frozen=True):
    """An action that was refused: which one, what was filled in, and the sentence that says what to do."""

    verb: str
    number: int
    result: int
    workflow: str
    fields: Mapping[str, str]
    sentence: str

    def is_of(self, action: PageAction) -> bool:
        """Whether it was this action."""
        mine = (self.verb, self.number or 1, self.result, self.workflow)
        return mine == (action.verb, action.number or 1, action.result, action.workflow)

    @property
    def action(self) -> PageAction:
        """The same action, to be tried again with what was filled in, although it is not offered now."""
        fields = tuple(PageField(name=name, label=name, kind="long", value=text) for name, text in self.fields.items())
        return PageAction(
            verb=self.verb,
            label=texts.TRY_AGAIN,
            number=self.number,
            result=self.result,
            workflow=self.workflow,
            fields=fields,
        )


class PicturePart:
    """The pages of jobs. `clock` returns the seconds since 1970."""

    def __init__(
        self, context: PageContext, run_sync: RunSync = to_thread.run_sync, clock: Callable[[], float] = time.time
    ) -> None:
        self._context = context
        self._run_sync = run_sync
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of a job."""
        return [
            Route("/jobs/{job}", for_viewers(self._show)),
            Route("/jobs/{job}/state", for_viewers(self._show_state)),
        ]

    async def _show(self, request: Request, viewer: Viewer) -> Response:
        job = await parts_of(request).gallery.job(viewer, request.path_params["job"])
        return await self.show(request, viewer, job)

    async def _show_state(self, request: Request, viewer: Viewer) -> Response:
        """How far a job is, for a page that is open, and which htmx loads anew once the job has ended."""
        job = await parts_of(request).gallery.job(viewer, request.path_params["job"])
        answer = render(request, "job_state.html", state=state_of(job))
        if job.terminal_update is not None:
            answer.headers["HX-Refresh"] = "true"
        return answer

    async def show(self, request: Request, viewer: Viewer, job: Job, tried: Tried | None = None) -> Response:
        """The page of a job that the viewer may see. After a refusal, all fields are as they were `tried`."""
        parts, search = parts_of(request), read_search(request.query_params)
        workflow = parts.workflows().get(job.request.workflow)
        tile = await parts.gallery.tile(viewer, job.id)
        files = await self._files(viewer, job, workflow, search)
        number = _number(request.query_params.get("picture", ""), len(files))
        newer, older = await self._next_to(parts, viewer, search, tile)
        parent, children, unfinished = await self._relatives(parts, viewer, job)
        people = await names_of_people(parts.names, [(job.request.owner, job.request.guild)])
        before = before_of(job, workflow) if len(files) == 1 else None
        base = self._context.address.base
        addresses = FileAddresses(self._context, viewer)
        return render(
            request,
            "picture.html",
            409 if tried is not None else 200,
            section="gallery",
            job=job.id,
            is_kept=bool(request.query_params.get("kept")),
            here_do=search.address(f"{base}/jobs/{job.id}/do", picture=str(number)),
            search=search.text,
            kept_fields=search.without("text").fields,
            title=_title(job, workflow),
            is_long=len(_title(job, workflow)) > LONGEST_HEADING,
            prompt=prompt_of(job.request.values),
            owner=name_of(viewer, job.request.owner, people),
            ended=_moment(tile.entry.ended) if tile is not None else None,
            ago=texts.ago(self._clock() - tile.entry.ended) if tile is not None else "",
            made_with=_made_with(job, workflow),
            shown=files[number - 1] if files else None,
            files=files if len(files) > 1 else (),
            spoiler=tile is not None and tile.spoiler,
            before=addresses.before(job.id, f"before{before.suffix.lower()}") if before is not None else "",
            words=_words(job),
            state=state_of(job),
            over=job.terminal_update is not None,
            problem=_problem(job),
            notes=_notes(job),
            facts=_facts(job, workflow, parts, files[number - 1] if files else None),
            copied=_copied(job, workflow),
            attach=workflow is not None and bool(workflow.command) and needs_files(workflow, job.request),
            actions=await self._actions(parts, viewer, job, number, tried),
            tried=tried.sentence if tried is not None else "",
            message=parts.message_link(job.place),
            parent=parent,
            children=children,
            unfinished=unfinished,
            newer=_address(search, base, newer),
            older=_address(search, base, older),
            up=search.address(f"{base}/", **({"before": str(tile.entry.key + 1)} if tile is not None else {})),
        )

    async def _files(self, viewer: Viewer, job: Job, workflow: Workflow | None, search: Search) -> list[FileView]:
        update = job.terminal_update
        paths = update.files if isinstance(update, Finished | Failed) else ()
        addresses, page = FileAddresses(self._context, viewer), f"{self._context.address.base}/jobs/{job.id}"
        alt = _title(job, workflow)
        views: list[FileView] = []
        for index, file in enumerate(await self._run_sync(look_at, paths)):
            name = file_name(alt, job.id, index + 1, PurePath(paths[index]).suffix)
            views.append(
                FileView(
                    number=index + 1,
                    kind=file.kind,
                    address=addresses.original(job.id, index, name) if file.size is not None else "",
                    thumbnail=addresses.thumbnail(job.id, index) if file.has_thumbnail else "",
                    page=search.address(page, picture=str(index + 1)),
                    name=name,
                    width=file.width,
                    height=file.height,
                    shape=ratio_class(file.width, file.height),
                    alt=texts.described(alt, index + 1, len(paths)),
                    size=_size(file),
                )
            )
        return views

    async def _next_to(
        self, parts: PageParts, viewer: Viewer, search: Search, tile: Tile | None
    ) -> tuple[Tile | None, Tile | None]:
        """The next newer and the next older entry of the same search."""
        if tile is None:
            return None, None
        try:
            query = query_of(search)
        except Refused:
            query = GalleryQuery()
        newer = await parts.gallery.next_to(viewer, query, tile.entry.key, newer=True)
        return newer, await parts.gallery.next_to(viewer, query, tile.entry.key, newer=False)

    async def _relatives(
        self, parts: PageParts, viewer: Viewer, job: Job
    ) -> tuple[TileView | None, list[TileView], list[tuple[str, str]]]:
        """What the result was made from and into, and the pages of jobs made from it that have no result."""
        relatives = await parts.gallery.relatives(viewer, job)
        parent = relatives.made_from.tile if relatives.made_from is not None else None
        children: list[Tile] = []
        unfinished: list[tuple[str, str]] = []
        for child in relatives.made_into[:MOST_RELATIVES]:
            if child.tile is not None:
                children.append(child.tile)
            elif child.job.terminal_update is None:
                unfinished.append((f"{self._context.address.base}/jobs/{child.job.id}", state_of(child.job)))
        views = await tile_views(
            self._context, viewer, parts, Search(), [*children, *([parent] if parent is not None else [])]
        )
        return (views.pop() if parent is not None else None), views, unfinished

    async def _actions(
        self, parts: PageParts, viewer: Viewer, job: Job, number: int, tried: Tried | None
    ) -> list[ActionView]:
        """What can be done with the job, and with the picture that is shown of it."""
        if parts.actions is None or viewer.everything:
            return []
        views: list[ActionView] = []
        for action in await parts.actions.offered(viewer.person, job):
            mine = tried if tried is not None and tried.is_of(action) else None
            if action.result in {0, number} or mine is not None:
                fields = tuple(FieldView(field, _value(field, mine)) for field in action.fields)
                views.append(ActionView(action, fields, is_open=mine is not None))
        if tried is not None and tried.fields and not any(view.is_open for view in views):
            action = tried.action
            fields = tuple(FieldView(field, field.value) for field in action.fields)
            views.append(ActionView(action, fields, is_open=True))
        return views


def state_of(job: Job) -> str:
    """How far a job is, in words."""
    match job.terminal_update:
        case Finished():
            return texts.STATES["finished"]
        case Failed():
            return texts.STATES["failed"]
        case Lost():
            return texts.STATES["lost"]
        case None:
            name = "running" if job.state is State.RUNNING else "fetching" if job.state.settled else "waiting"
            return texts.STATES[name]
        case _:
            return texts.STATES["cancelled"]


def _value(field: PageField, tried: Tried | None) -> str:
    if tried is None:
        return field.value
    return tried.fields.get(field.name, NO if field.kind == "yes" else "")


def _number(text: str, count: int) -> int:
    """The number of the file that is shown, from 1."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= count else 1


def _title(job: Job, workflow: Workflow | None) -> str:
    """What a job is about, on one line."""
    prompt = " ".join(prompt_of(job.request.values).split())
    return prompt or (workflow.title if workflow is not None else job.request.workflow) or texts.UNTITLED


def _made_with(job: Job, workflow: Workflow | None) -> str:
    model = model_of(job)
    title = workflow.title if workflow is not None else job.request.workflow
    return " · ".join(filter(None, [title, model_name(model) if model else ""]))


def _words(job: Job) -> list[str]:
    update = job.terminal_update
    return [text for text in update.texts if text.strip()] if isinstance(update, Finished) else []


def _problem(job: Job) -> str:
    """Why a job has no result."""
    update = job.terminal_update
    return reason_text(update.reason) if isinstance(update, Failed | Lost) else ""


def _notes(job: Job) -> list[str]:
    update = job.terminal_update
    return [reason_text(note) for note in update.notes] if isinstance(update, Finished) else []


def _facts(job: Job, workflow: Workflow | None, parts: PageParts, shown: FileView | None) -> list[Setting]:
    """Everything that made the result, and what is known of it."""
    update = job.terminal_update
    facts = settings_of(job, workflow)
    seed = update.seed if isinstance(update, Finished) and update.seed is not None else job.request.seed
    if seed is not None:
        facts.append(Setting(texts.SEED, str(seed)))
    if shown is not None and shown.size:
        facts.append(Setting(texts.SIZE, shown.size))
    if isinstance(update, Finished):
        if update.seconds > 0:
            facts.append(Setting(texts.TOOK, took(update.seconds)))
        facts.append(Setting(texts.MADE_BY, parts.server_names.get(update.server, UNNAMED)))
    return [*facts, Setting(texts.JOB, job.id)]


def _copied(job: Job, workflow: Workflow | None) -> str:
    """The settings as a text: the command that asks for the same again, if there is one."""
    if workflow is not None and workflow.command:
        return command_line(workflow, job.request)
    lines = [f"{setting.title}: {setting.value}" for setting in settings_of(job, workflow)]
    return "\n".join([*filter(None, [prompt_of(job.request.values)]), *lines])


def _size(file: ResultFile) -> str:
    size = size_text(file.width, file.height) if file.width else ""
    return " · ".join(filter(None, [size, texts.bytes_text(file.size) if file.size is not None else ""]))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _address(search: Search, base: str, tile: Tile | None) -> str:
    return search.address(f"{base}/jobs/{tile.entry.job}") if tile is not None else ""
