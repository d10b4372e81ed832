"""Drafts belong to one person, and outlive the process that wrote them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.drafts import StoredDraft
from app.core.journal_port import JournalUnavailable
from app.discord.requests.drafts import Drafts, SettingsDraft
from app.events import JobId
from app.service.requests import AttachedFile, CreateJob
from tests.refusals import refused

CAT, DOG = JobId("cat"), JobId("dog")


class Records:
    """A journal that keeps drafts in memory, as bytes."""

    def __init__(self) -> None:
        self.drafts: dict[str, StoredDraft] = {}
        self.problem: Callable[[], None] = lambda: None

    async def keep_draft(self, draft: StoredDraft) -> None:
        self.problem()
        self.drafts[draft.id] = draft

    async def draft(self, draft_id: str) -> StoredDraft | None:
        self.problem()
        return self.drafts.get(draft_id)

    async def drop_draft(self, draft_id: str) -> None:
        self.drafts.pop(draft_id, None)


async def test_a_form_that_came_too_late_is_that_of_one_person() -> None:
    drafts = Drafts(Records())
    await drafts.keep_form(CAT, "ada", {"prompt": "1"})
    await drafts.keep_form(CAT, "ben", {"prompt": "2"})
    await drafts.keep_form(CAT, "ada", {"prompt": "3"})
    assert await drafts.form_of(CAT, "ada") == {"prompt": "3"}
    assert await drafts.form_of(CAT, "ben") == {"prompt": "2"}
    assert await drafts.form_of(DOG, "ada") == {}


async def test_a_request_waits_for_its_form_once_and_for_its_person() -> None:
    drafts = Drafts(Records())
    file = AttachedFile("image", "https://cdn.discordapp.com/x.png", "x.png", 3)
    request = CreateJob(workflow="w", values={"size": [1, 2], "prompt": "é"}, files=(file,), spoiler=True)
    assert await drafts.hold("7", "ada", request)
    assert await drafts.take("7", "ben") is None
    assert await drafts.take("7", "ada") == request
    assert await drafts.take("7", "ada") is None


async def test_settings_are_found_by_their_person_only() -> None:
    drafts = Drafts(Records())
    draft = SettingsDraft(id="d", person="ada", workflow="w", job=CAT, values={"steps": 3})
    await drafts.keep(draft)
    assert await drafts.find("d", "ada") == draft
    with refused("somebody else's settings"):
        await drafts.find("d", "ben")
    await drafts.drop("d")
    with refused("not kept any more"):
        await drafts.find("d", "ada")


async def test_a_draft_of_another_version_is_not_known() -> None:
    records = Records()
    drafts = Drafts(records)
    for content in (b"{", b"[]", b'{"id": 3}'):
        records.drafts["d"] = StoredDraft("d", "ada", content)
        with refused("not kept any more"):
            await drafts.find("d", "ada")


async def test_a_journal_that_cannot_be_used_keeps_no_request() -> None:
    records = Records()

    def fail() -> None:
        raise JournalUnavailable("The disk is full.")

    records.problem = fail
    drafts = Drafts(records)
    assert not await drafts.hold("7", "ada", CreateJob(workflow="w"))
    assert await drafts.take("7", "ada") is None
    with pytest.raises(JournalUnavailable):
        await drafts.keep_form(CAT, "ada", {})
