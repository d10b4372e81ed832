"""Who is notified, and how."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import anyio.lowlevel
import pytest

from app.ports import Json
from app.service.people.notifications import MOST_REFUSED, REFUSED, SAVED_AS, Notifications, workflow_settings
from tests.conftest import virtual


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


class Saved:
    """The preferences in memory."""

    def __init__(self) -> None:
        self.of: dict[str, dict[str, Mapping[str, Json]]] = {"ada": {"txt2img": {"steps": 4}}}

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        await anyio.lowlevel.checkpoint()
        return self.of.get(owner, {})

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        await anyio.lowlevel.checkpoint()
        self.of.setdefault(owner, {})[workflow] = values


async def test_who_has_chosen_nothing_gets_what_the_operator_set() -> None:
    for default in ("mention", "dm", "never"):
        assert await Notifications(Saved(), default).way_of("ada") == default


async def test_what_a_person_chose_counts_more_than_the_default_and_is_no_setting_of_a_workflow() -> None:
    saved = Saved()
    notifications = Notifications(saved, "mention")
    await notifications.choose("ada", "dm")
    assert await notifications.way_of("ada") == "dm"
    assert await notifications.way_of("bob") == "mention"
    assert workflow_settings(saved.of["ada"]) == {"txt2img": {"steps": 4}}


@pytest.mark.parametrize("odd", ["email", "off", "", 3, None])
async def test_a_choice_that_this_version_does_not_know_counts_as_none(odd: Json) -> None:
    saved = Saved()
    saved.of["ada"][SAVED_AS] = {"way": odd}
    assert await Notifications(saved, "dm").way_of("ada") == "dm"


async def test_off_means_nobody_whatever_they_chose() -> None:
    notifications = Notifications(Saved(), "off")
    await notifications.choose("ada", "mention")
    assert not notifications.enabled
    assert await notifications.way_of("ada") == "never"


async def test_a_refused_direct_message_is_remembered_for_a_day_or_until_the_person_chooses_again() -> None:
    notifications = Notifications(Saved())
    assert notifications.takes_direct_messages("ada")
    notifications.refused("ada")
    assert not notifications.takes_direct_messages("ada")
    assert notifications.takes_direct_messages("bob")
    await anyio.sleep(REFUSED + 1)
    assert notifications.takes_direct_messages("ada")
    notifications.refused("ada")
    await notifications.choose("ada", "dm")
    assert notifications.takes_direct_messages("ada")


async def test_only_so_many_refusals_are_remembered() -> None:
    notifications = Notifications(Saved())
    for number in range(MOST_REFUSED + 1):
        notifications.refused(str(number))
    assert notifications.takes_direct_messages("0")
    assert not notifications.takes_direct_messages("1")
