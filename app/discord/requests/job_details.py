"""Collects what the buttons of a job only show: its details, what else can be done with it, a command to copy."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from app.core.jobs.job import Job
from app.core.journal_port import JobHistory
from app.discord.messages.live_messages import LiveMessages
from app.discord.ui import job_message, pages
from app.discord.ui.components import Card
from app.events import Finished, ServerName
from app.service.jobs.variations import Variations, picture_of, pictures_of
from app.service.offers.catalog import Catalog
from app.service.reasons import UnknownButton
from app.service.requests import Person
from app.workflows.model import WorkflowError
from app.workflows.variations.derive import Change

MOST_CHILDREN = 5
"""Jobs made from one job that its details name."""


class JobDetails:
    """Makes the cards that buttons of a job show. `server_names` maps each server to the name that people may read.

    A method that cannot show anything raises `WorkflowError`.
    """

    def __init__(
        self,
        *,
        job_history: JobHistory,
        catalog: Catalog,
        variations: Variations,
        live_messages: LiveMessages,
        server_names: Mapping[ServerName, str],
    ) -> None:
        self._job_history = job_history
        self._catalog = catalog
        self._variations = variations
        self._live_messages = live_messages
        self._server_names = server_names

    async def details(self, job: Job) -> Card:
        """The details of a job, with the jobs it was made from and into."""
        workflows = self._catalog.workflows
        parent = await self._job_history.find(job.request.parent) if job.request.parent else None
        children = await self._job_history.made_from(job.id, MOST_CHILDREN)
        return pages.details(
            job,
            workflows.get(job.request.workflow),
            self._server_names,
            thumbnail=(await self._live_messages.thumbnails([job])).get(job.id),
            made_from=pages.relative(parent, workflows.get(parent.request.workflow)) if parent is not None else None,
            made_into=[pages.relative(child, workflows.get(child.request.workflow)) for child in children],
        )

    async def more(self, job: Job, message: str) -> Card:
        """What else can be done with a job that is shown in a message."""
        workflow = self._catalog.workflows.get(job.request.workflow)
        follow_ups = job_message.listed(self._live_messages.view(job))
        finished = job.terminal_update
        pictures = len(pictures_of(finished)) if isinstance(finished, Finished) else 0
        changes = await self._variations.possible(job.request) if pictures else frozenset[Change]()
        return pages.more(job.id, message, follow_ups, workflow, changes, pictures)

    async def picture(self, job: Job, number: int) -> Card:
        """What can be done to one of the pictures of a job."""
        shown, finished = picture_of(job, number), job.terminal_update
        changes = await self._variations.possible(job.request)
        alone = (
            replace(job, terminal_update=replace(finished, files=(shown,))) if isinstance(finished, Finished) else job
        )
        thumbnail = (await self._live_messages.thumbnails([alone])).get(job.id)
        return pages.picture(job.id, number, changes, thumbnail)

    def command(self, job: Job, person: Person) -> Card:
        """A job as the command that asks for the same again."""
        workflow = self._catalog.usable(job.request.workflow, person)
        if not workflow.command:
            raise WorkflowError(UnknownButton())
        return pages.copied(workflow, job.request)
