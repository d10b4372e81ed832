"""What people do on the page: the port through which it is done where the jobs are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from app.core.jobs.job import Job
from app.events import JobId

Style: TypeAlias = Literal["primary", "quiet", "danger"]
"""How a button looks: there is at most one of the first for each job, and the last takes something away."""

FieldKind: TypeAlias = Literal["text", "long", "number", "choice", "yes"]
"""What a field takes: one line, several lines, a number, one of its choices, or yes or no."""

YES, NO = "true", "false"
"""The values of a field that takes yes or no."""


class PageField(Struct, frozen=True, kw_only=True):
    """A field that is filled in before something is done.

    `value` is what stands in it at first. `choices` are pairs of a value and its label. `hint` explains it. `most` is
    the limit in characters, 0 for none.
    """

    name: str
    label: str
    kind: FieldKind
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    required: bool = False
    most: int = 0


class PageAction(Struct, frozen=True, kw_only=True):
    """Something that a person can do with a job now.

    `verb`, `number`, `result` and `workflow` say what it is, and are given back to do it: `result` is the result that
    it is about, counted from 1, 0 for all of them. `fields` are asked for first; without any, it starts at once.
    """

    verb: str
    label: str
    number: int = 0
    result: int = 0
    workflow: str = ""
    style: Style = "quiet"
    fields: tuple[PageField, ...] = ()


class PageActions(Protocol):
    """Does what people ask for on the page, as if they had pressed the button where the job is shown.

    `person` is the id of who asks, in the frontend's format. Every method but `offered` raises `WorkflowError` if it
    cannot be done, with the reason why, and then nothing has happened.
    """

    async def offered(self, person: str, job: Job) -> Sequence[PageAction]:
        """What this person can do with a job now; empty if that is not known, or if the person may do nothing."""
        ...

    async def press(
        self,
        person: str,
        job: Job,
        verb: str,
        *,
        number: int = 0,
        result: int = 0,
        workflow: str = "",
        fields: Mapping[str, str],
    ) -> JobId | None:
        """Do what an action says, with what was filled into its fields; a `yes` that is missing there means no.

        Returns the new job once it is accepted, None if the action makes none. Its result appears where the earlier
        job is shown.
        """
        ...

    async def cancel(self, person: str, job: JobId) -> None:
        """Cancel a job."""
        ...

    async def delete(self, person: str, job: JobId) -> None:
        """Delete the files and the messages of a job that has ended."""
        ...
