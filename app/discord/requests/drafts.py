"""What people have filled in and not yet got, in the journal: it outlives the process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
import structlog
from msgspec import Struct

from app.core.drafts import DraftRecords, StoredDraft
from app.core.journal_port import JournalUnavailable
from app.events import JobId
from app.ports import Json
from app.service.reasons import DraftGone, DraftNotYours
from app.service.requests import AttachedFile, CreateJob
from app.workflows.model import WorkflowError

logger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")


class SettingsDraft(Struct, frozen=True, kw_only=True):
    """The settings that a person is changing for a new variation of `job`, or, if it `edits`, for the job itself.

    `values` are those of slots; `files` replace files that the job was made from.
    """

    id: str
    person: str
    workflow: str
    job: JobId
    edits: bool = False
    values: dict[str, Json] = {}
    files: tuple[AttachedFile, ...] = ()


class Drafts:
    """Reads and writes drafts. Every method may raise `JournalUnavailable`, unless it says otherwise."""

    def __init__(self, records: DraftRecords) -> None:
        self._records = records

    async def keep_form(self, job: JobId, person: str, fields: Mapping[str, str]) -> None:
        """Keep what a person filled into a form about a job that came too late, for the next form about it."""
        await self._keep(_form_id(job, person), person, dict(fields))

    async def form_of(self, job: JobId, person: str) -> Mapping[str, str]:
        """What this person filled in last about a job; empty if that is not known any more."""
        return await self._read(_form_id(job, person), person, dict[str, str]) or {}

    async def hold(self, interaction: str, person: str, request: CreateJob) -> bool:
        """Keep a request until its form is submitted, by the id of the interaction that opened it.

        Whether it is kept: if the journal cannot be used now, it is not.
        """
        try:
            await self._keep(_request_id(interaction), person, request)
        except JournalUnavailable as error:
            logger.warning("a request cannot wait for its form", reason=str(error))
            return False
        return True

    async def take(self, interaction: str, person: str) -> CreateJob | None:
        """The request that waited for this form, once; None if it is not known now, or another person's."""
        try:
            request = await self._read(_request_id(interaction), person, CreateJob)
            if request is not None:
                await self._records.drop_draft(_request_id(interaction))
        except JournalUnavailable as error:
            logger.warning("a request cannot be read", reason=str(error))
            return None
        return request

    async def keep(self, draft: SettingsDraft) -> None:
        """Keep settings that a person is changing, in place of what was kept of them."""
        await self._keep(draft.id, draft.person, draft)

    async def find(self, draft_id: str, person: str) -> SettingsDraft:
        """Settings that this person is changing. Raises `WorkflowError`."""
        stored = await self._records.draft(draft_id)
        if stored is not None and stored.person != person:
            raise WorkflowError(DraftNotYours())
        draft = _decoded(stored, SettingsDraft)
        if draft is None:
            raise WorkflowError(DraftGone())
        return draft

    async def drop(self, draft_id: str) -> None:
        """Forget settings."""
        await self._records.drop_draft(draft_id)

    async def _keep(self, draft_id: str, person: str, content: object) -> None:
        await self._records.keep_draft(StoredDraft(draft_id, person, msgspec.json.encode(content)))

    async def _read(self, draft_id: str, person: str, kind: type[T]) -> T | None:
        stored = await self._records.draft(draft_id)
        return _decoded(stored, kind) if stored is not None and stored.person == person else None


def _decoded(stored: StoredDraft | None, kind: type[T]) -> T | None:
    """The content of a draft; None if there is none, or if another version wrote it in another way."""
    try:
        return msgspec.json.decode(stored.content, type=kind) if stored is not None else None
    except msgspec.MsgspecError as error:
        logger.warning("a draft cannot be read", reason=str(error))
        return None


def _form_id(job: JobId, person: str) -> str:
    return f"form:{job}:{person}"


def _request_id(interaction: str) -> str:
    return f"request:{interaction}"
