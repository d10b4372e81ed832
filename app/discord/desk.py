"""Takes what people want, one word after the other, and has it made, or says why not."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

import anyio
from msgspec.structs import replace

from app.discord import form as forms
from app.discord import place as places
from app.discord.attachments import Intake
from app.discord.blocks import Form
from app.discord.custom_id import Press, write
from app.discord.options import images, verify
from app.discord.pages import settings
from app.discord.permits import permitted, refusal
from app.discord.studio import Studio
from app.discord.words import Caller, Ordered, Picture, Pressed
from app.events import Finished, JobId
from app.jobs import Job, Wish
from app.ports import Json
from app.workflows.bind import bind
from app.workflows.load import Workflow
from app.workflows.slots import WorkflowError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
"""Results that another workflow can take."""


class Desk:
    """Owns nothing but what it needs to make wishes: where files lie, and chance."""

    def __init__(
        self, studio: Studio, intake: Intake, data: Path, guarded: frozenset[str], last_round: anyio.Event
    ) -> None:
        self._studio = studio
        self._intake = intake
        self._data = data
        self._guarded = guarded
        self._last_round = last_round
        self._rng = random.SystemRandom()

    async def take(self, word: Ordered | Pressed) -> None:
        """Do what was asked for; where that cannot be done, say so to whoever asked, and do nothing else."""
        try:
            match word:
                case Ordered():
                    await self._order(word)
                case Pressed():
                    await self._press(word)
                case _:
                    assert_never(word)
        except WorkflowError as error:
            await self._studio.refuse(word.caller, str(error))

    async def form(self, press: Press) -> Form | str | None:
        """What a button asks before it does anything: a form, nothing (None), or a sentence why it cannot."""
        try:
            job = await self._job(press.job)
            if press.verb == "vary":
                workflow = self._workflow(job.wish.workflow)
                return forms.form(workflow, write("vary", job.id, workflow.name), _given(job.wish, workflow, seed=True))
            workflow = self._workflow(press.workflow)
            found = self._results(job)
        except WorkflowError as error:
            return str(error)
        same = {slot.name for slot in workflow.slots if slot.kind == "text"}
        values = {name: value for name, value in job.wish.values.items() if name in same}
        return forms.form(workflow, write("use", job.id, workflow.name), values, pictures=len(found))

    async def _order(self, word: Ordered) -> None:
        workflow = self._workflow(word.workflow)
        verify(workflow, word.values)
        await self._make(workflow, word.values, word.caller, spoiler=word.spoiler, pictures=word.pictures)

    async def _press(self, word: Pressed) -> None:
        press, caller = word.press, word.caller
        job = await self._job(press.job)
        moderator, owner = caller.moderator, job.wish.owner
        if not permitted(press.verb, person=caller.user, owner=owner, moderator=moderator, guarded=self._guarded):
            raise WorkflowError(refusal(press.verb))
        kept = places.read(job.place)
        spoiler = kept is not None and kept.spoiler
        match press.verb:
            case "again":
                workflow = self._workflow(job.wish.workflow)
                await self._make(workflow, _given(job.wish, workflow, seed=False), caller, spoiler=spoiler)
            case "vary":
                workflow = self._workflow(job.wish.workflow)
                values, _ = forms.answers(workflow, word.fields or {})
                verify(workflow, values)
                photos = {slot.name: job.wish.values.get(slot.name) for slot in images(workflow)}
                await self._make(workflow, {**values, **photos}, caller, spoiler=spoiler)
            case "use":
                workflow = self._workflow(press.workflow)
                values, number = forms.answers(workflow, word.fields or {})
                verify(workflow, values)
                found = self._results(job)
                if number > len(found):
                    raise WorkflowError(f"There are only {len(found)} pictures here.")
                photo = {images(workflow)[0].name: found[number - 1]}
                await self._make(workflow, {**values, **photo}, caller, spoiler=spoiler)
            case "retry":
                self._check_open()
                wish = replace(job.wish, job=_new_job(), owner=caller.user)
                self._studio.begin(wish, caller, spoiler=spoiler)
            case "cancel":
                await self._cancel(job)
            case "settings":
                await self._studio.tell(caller, settings(job, self._studio.catalog.workflows.get(job.wish.workflow)))
            case "delete":
                await self._delete(job, caller)
            case _:
                raise WorkflowError("This button is from another time, and does nothing any more.")

    async def _make(
        self,
        workflow: Workflow,
        values: Mapping[str, Json],
        caller: Caller,
        *,
        spoiler: bool,
        pictures: Sequence[Picture] = (),
    ) -> None:
        self._check_open()
        job = _new_job()
        given = {name: value for name, value in values.items() if value not in (None, "")}
        for slot in images(workflow):
            if (path := given.get(slot.name)) is not None and not _is_kept(path):
                raise WorkflowError("The picture this was made from is no longer kept: start anew with another.")
        for picture in pictures:
            path = self._data / "inputs" / f"{job}-{picture.slot}.png"
            given[picture.slot] = str(await self._intake.take(picture, path))
        folder = str(self._data / "results")
        wish = bind(workflow, job, given, rng=self._rng, folder=folder, owner=caller.user)
        self._studio.begin(replace(wish, values=given), caller, spoiler=spoiler)

    def _check_open(self) -> None:
        if self._last_round.is_set():
            raise WorkflowError("The bot is about to be started anew: ask again in a moment.")

    async def _cancel(self, job: Job) -> None:
        if job.last_word is not None:
            raise WorkflowError("This has ended already.")
        await self._studio.registry.cancel(job.id)

    async def _delete(self, job: Job, caller: Caller) -> None:
        if job.last_word is None and job.id in self._studio.living:
            raise WorkflowError("This is still being made: cancel it first.")
        await self._studio.remove(caller, places.read(job.place))

    async def _job(self, told: str) -> Job:
        job = await self._studio.archive.find(told)
        if job is None:
            raise WorkflowError("Nobody remembers this one any more: start anew with a command.")
        return job

    def _workflow(self, name: str) -> Workflow:
        workflow = self._studio.catalog.workflows.get(name)
        if workflow is None:
            raise WorkflowError(f"The workflow “{name}” was removed by the people who run this bot.")
        return workflow

    def _results(self, job: Job) -> list[str]:
        files = job.last_word.files if isinstance(job.last_word, Finished) else ()
        found = [file for file in files if Path(file).suffix.lower() in PICTURES and Path(file).is_file()]
        if not found:
            raise WorkflowError("The picture is no longer kept: make it again first.")
        return found


def _given(wish: Wish, workflow: Workflow, *, seed: bool) -> dict[str, Json]:
    """What was given, as far as the workflow still has slots for it; with the seed it had, or without any."""
    kinds = {slot.name: slot.kind for slot in workflow.slots}
    values = {name: value for name, value in wish.values.items() if name in kinds and kinds[name] != "seed"}
    if seed and wish.seed is not None:
        values.update({name: wish.seed for name, kind in kinds.items() if kind == "seed"})
    return values


def _is_kept(path: Json) -> bool:
    return Path(str(path)).is_file()


def _new_job() -> JobId:
    return JobId(str(uuid.uuid4()))
