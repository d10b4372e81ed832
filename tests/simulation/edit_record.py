"""Records how waiting jobs were edited: whose edit counts, and what their pictures are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from app.actors.handle import Edit, EditAnswer
from app.core.jobs.batches import requests_of
from app.core.jobs.job import JobRequest
from app.events import JobId
from app.ports import Graph
from tests.simulation.pictures import content, expected

Pictures: TypeAlias = list[bytes]


class Sent(Struct, frozen=True):
    """A form that somebody sent to edit a job: with which token, and the colour that its pictures are to have."""

    job: JobId
    token: str
    color: int


class _Made(Struct):
    """A request of a job: what it makes, and whether the registry said that it counts; None if it died before."""

    pictures: Pictures
    accepted: bool | None


class EditRecord:
    """Owns the requests of each job, in the order in which the registry got them."""

    def __init__(self) -> None:
        self._requests: defaultdict[JobId, list[_Made]] = defaultdict(list)
        self.sent: list[Sent] = []
        """The forms that people sent."""

    def submitted(self, request: JobRequest) -> None:
        """A job is accepted, with those of its batch."""
        for each in requests_of(request):
            if each.job not in self._requests:
                self._requests[each.job].append(_Made(expected(each.graph), accepted=True))

    def begins(self, edits: Sequence[tuple[Edit, EditAnswer]]) -> list[_Made]:
        """The registry has decided about these edits, and has not recorded it yet."""
        made: list[_Made] = []
        for edit, answer in edits:
            for each in requests_of(edit.request):
                made.append(_Made(expected(each.graph), None if answer.done else False))
                self._requests[each.job].append(made[-1])
        return made

    def answered(self, made: Sequence[_Made]) -> None:
        """It has been recorded, and said."""
        for each in made:
            each.accepted = each.accepted is None

    def refused(self, sent: Sent) -> bool:
        """Whether the registry said that it came too late."""
        wanted = content(sent.color, 8)
        return any(made.accepted is False and wanted in made.pictures for made in self._requests.get(sent.job, ()))

    def is_edited(self, job: JobId) -> bool:
        """Whether somebody tried to edit it."""
        return len(self._requests.get(job, ())) > 1

    def counts(self, job: JobId, graph: Graph) -> bool:
        """Whether a graph is the one that counts for a job, as far as people can know."""
        pictures = expected(graph)
        for made in reversed(self._requests.get(job, ())):
            if made.accepted is not False and made.pictures == pictures:
                return True
            if made.accepted:
                return False
        return job not in self._requests
