"""The command /page lets one person into the web page, and is there only if there is a page."""

from __future__ import annotations

from msgspec import Struct

from tests.discord.fake import Interaction
from tests.discord.stage import EPHEMERAL, Stage, parts, words


class Access(Struct, frozen=True):
    """A page that remembers nothing of its links."""

    address: str
    has_login: bool

    def link(self, person: str) -> str:
        return f"{self.address}/login/link/for-{person}"


async def links(stage: Stage, asked: Interaction) -> list[str]:
    """The addresses in the answer, which only its person sees."""
    await stage.until("logs you in", asked)
    message = stage.discord.message(asked)
    assert message["flags"] & EPHEMERAL
    return [str(part["url"]) for part in parts(message) if part.get("url")]


async def test_page_answers_its_person_with_a_link_and_with_the_address_if_people_can_log_in_there(
    stage: Stage,
) -> None:
    discord = stage.discord
    for has_login in (False, True):
        async with stage.bot(page=Access("https://example.org/atelier", has_login)):
            asked = discord.slash("page")
            person = discord.state.alice.id
            assert await links(stage, asked) == [f"https://example.org/atelier/login/link/for-{person}"]
            assert ("at https://example.org/atelier" in words(discord.message(asked))) is has_login
            assert "/page" in await stage.ephemeral_followup(discord.slash("help"))


async def test_without_a_page_there_is_no_such_command(stage: Stage) -> None:
    async with stage.bot():
        assert "page" not in {str(command["name"]) for command in stage.discord.commands()}
        assert "page" not in await stage.ephemeral_followup(stage.discord.slash("help"))
