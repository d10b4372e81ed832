"""Begins jobs, with the limits that apply to their person where they ask for them."""

from __future__ import annotations

from msgspec.structs import replace

from app.core.jobs.job import Job, JobRequest
from app.discord import message_ref
from app.discord.message_ref import MessageRef
from app.discord.messages.live_messages import LiveMessages
from app.discord.user_request import Caller
from app.service.offers.catalog import Catalog
from app.service.people.allowances import Allowances, origin_of
from app.service.requests import Person


class JobStarter:
    """Adds to each request what its person gets where they are, and begins it there."""

    def __init__(self, catalog: Catalog, allowances: Allowances, live_messages: LiveMessages) -> None:
        self._catalog = catalog
        self._allowances = allowances
        self._live_messages = live_messages

    async def begin(self, request: JobRequest, caller: Caller, *, spoiler: bool) -> None:
        """Begin a job where the caller was answered."""
        hidden = self._hides(request, spoiler=spoiler)
        self._live_messages.begin(await self._granted(request, caller), caller, spoiler=hidden)

    async def begin_beside(self, job: Job, request: JobRequest, caller: Caller) -> None:
        """Begin a job that was made from an earlier one, or in its place; it is hidden if that one is."""
        place = message_ref.read(job.place)
        await self.begin(request, caller, spoiler=place is not None and place.spoiler)

    async def begin_from_page(self, place: MessageRef, request: JobRequest, person: Person) -> None:
        """Begin a job where an earlier one is shown, of which this is the place; returns once it is accepted.

        Raises `WorkflowError` if it is not.
        """
        hidden = self._hides(request, spoiler=place.spoiler)
        place = MessageRef(
            channel=place.channel,
            user=person.user,
            guild=place.guild,
            limit=place.limit,
            spoiler=hidden,
            from_page=True,
        )
        await self._live_messages.begin_from_page(await self._granted(request, person), place)

    def _hides(self, request: JobRequest, *, spoiler: bool) -> bool:
        workflow = self._catalog.readable.get(request.workflow)
        return spoiler or (workflow is not None and workflow.spoiler)

    async def _granted(self, request: JobRequest, person: Person) -> JobRequest:
        """The request with the place where it counts, and what its person gets there."""
        origin, grant = origin_of(person), await self._allowances.grant(person)
        payment = None if request.payment is None else replace(request.payment, limits=grant.budget)
        return replace(
            request,
            guild=origin.guild,
            channel=origin.channel,
            thread=person.channel if person.parent else "",
            allowances=grant.allowances,
            payment=payment,
            weight=grant.weight,
        )
