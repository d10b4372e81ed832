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
from app.discord.onward import Onward, results, way, ways
from app.discord.options import preset, uploads, verify
from app.discord.pages import kept, settings
from app.discord.permits import permitted, refusal, welcome
from app.discord.studio import Studio
from app.discord.words import Attached, Caller, Ordered, Pressed
from app.events import Finished, JobId
from app.jobs import Job, Wish
from app.ports import Json
from app.workflows.bind import bind
from app.workflows.load import Workflow
from app.workflows.slots import UPLOADED, Slot, WorkflowError

NOBODYS: frozenset[str] = frozenset({"text", "seed"}) | UPLOADED
"""Kinds of slots that belong to one wish, and never to somebody's own settings."""


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
            onward = self._onward(job, workflow)
            found = _results(job, onward.slot)
        except WorkflowError as error:
            return str(error)
        same = {slot.name for slot in workflow.slots if slot.kind == "text"}
        values = {name: value for name, value in job.wish.values.items() if name in same} | onward.values
        if onward.slot.kind == "text":
            values[onward.slot.name] = found[0]
        return forms.form(workflow, write("use", job.id, workflow.name), values, results=len(found))

    async def _order(self, word: Ordered) -> None:
        workflow = self._workflow(word.workflow)
        said = {**preset(workflow, word.preset), **word.values}
        verify(workflow, said)
        own = await self._own(word.caller.user, workflow)
        await self._make(workflow, {**own, **said}, word.caller, spoiler=word.spoiler, files=word.files)

    async def _press(self, word: Pressed) -> None:
        press, caller = word.press, word.caller
        job = await self._job(press.job)
        moderator, owner = caller.moderator, job.wish.owner
        if not permitted(press.verb, person=caller.user, owner=owner, moderator=moderator, guarded=self._guarded):
            raise WorkflowError(refusal(press.verb))
        shown = places.read(job.place)
        spoiler = shown is not None and shown.spoiler
        match press.verb:
            case "again":
                workflow = self._workflow(job.wish.workflow)
                await self._make(workflow, _given(job.wish, workflow, seed=False), caller, spoiler=spoiler)
            case "vary":
                workflow = self._workflow(job.wish.workflow)
                values, _ = forms.answers(workflow, word.fields or {})
                verify(workflow, values)
                files = {slot.name: job.wish.values.get(slot.name) for slot in uploads(workflow)}
                await self._make(workflow, {**values, **files}, caller, spoiler=spoiler)
            case "use":
                workflow = self._workflow(press.workflow)
                onward = self._onward(job, workflow)
                values, number = forms.answers(workflow, word.fields or {})
                found = _results(job, onward.slot)
                if number > len(found):
                    raise WorkflowError(f"There are only {len(found)} results here.")
                values = {onward.slot.name: found[number - 1], **onward.values, **values}
                verify(workflow, values)
                own = await self._own(caller.user, workflow)
                await self._make(workflow, {**own, **values}, caller, spoiler=spoiler)
            case "retry":
                if (workflow := self._studio.catalog.workflows.get(job.wish.workflow)) is not None:
                    _check_welcome(workflow, caller)
                self._check_open()
                wish = replace(job.wish, job=_new_job(), owner=caller.user)
                self._studio.begin(wish, caller, spoiler=spoiler)
            case "cancel":
                await self._cancel(job)
            case "settings":
                await self._studio.tell(caller, settings(job, self._studio.catalog.workflows.get(job.wish.workflow)))
            case "keep":
                await self._keep(job, caller)
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
        files: Sequence[Attached] = (),
    ) -> None:
        self._check_open()
        _check_welcome(workflow, caller)
        job = _new_job()
        given = {name: value for name, value in values.items() if value not in (None, "")}
        kinds: dict[str, str] = {slot.name: slot.kind for slot in uploads(workflow)}
        for name in kinds:
            if (path := given.get(name)) is not None and not _is_kept(path):
                raise WorkflowError("The file this was made from is no longer kept: start anew with another.")
        for file in files:
            path = self._data / "inputs" / f"{job}-{file.slot}"
            given[file.slot] = str(await self._intake.take(file, kinds[file.slot], path))
        folder = str(self._data / "results")
        wish = bind(workflow, job, given, rng=self._rng, folder=folder, owner=caller.user)
        wish = replace(wish, values=given, servers=self._studio.catalog.servers.get(workflow.name, ()))
        self._studio.begin(wish, caller, spoiler=spoiler or workflow.spoiler)

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

    def _onward(self, job: Job, workflow: Workflow) -> Onward:
        """How a job's results go into this workflow; old buttons may lead where the manifest no longer does."""
        maker = self._studio.catalog.workflows.get(job.wish.workflow)
        named = [one for one in ways(maker, self._studio.catalog.workflows) if one.workflow == workflow.name]
        found = named[0] if named else way(workflow)
        if found is None:
            raise WorkflowError(f"“{workflow.title}” takes no result any more.")
        return found

    async def _own(self, person: str, workflow: Workflow) -> dict[str, Json]:
        """Somebody's own settings, as far as the workflow still takes them."""
        kept = (await self._studio.archive.preferences(person)).get(workflow.name, {})
        return {slot.name: kept[slot.name] for slot in workflow.slots if slot.name in kept and _fits(slot, kept)}

    async def _keep(self, job: Job, caller: Caller) -> None:
        """Make a job's settings the presser's own."""
        workflow = self._workflow(job.wish.workflow)
        kinds = {slot.name: slot.kind for slot in workflow.slots}
        values = {name: value for name, value in job.wish.values.items() if kinds.get(name, "text") not in NOBODYS}
        if not values:
            raise WorkflowError("Everything stands as it was meant here: there is nothing to keep.")
        await self._studio.archive.prefer(caller.user, workflow.name, values)
        await self._studio.tell(caller, kept(workflow, values))


def _results(job: Job, slot: Slot) -> Sequence[str]:
    """What a job has that a slot takes."""
    found = results(job.last_word, slot) if isinstance(job.last_word, Finished) else ()
    found = [one for one in found if slot.kind == "text" or Path(one).is_file()]
    if not found:
        raise WorkflowError("The result is no longer kept: make it again first.")
    return found


def _check_welcome(workflow: Workflow, caller: Caller) -> None:
    if not welcome(workflow, person=caller.user, roles=caller.roles):
        raise WorkflowError(f"“{workflow.title}” is only for some people here: ask whoever runs this server.")


def _fits(slot: Slot, kept: Mapping[str, Json]) -> bool:
    try:
        slot.read(kept[slot.name])
    except WorkflowError:
        return False
    return True


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
