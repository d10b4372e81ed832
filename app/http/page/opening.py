"""Makes the page from its settings."""

from __future__ import annotations

from msgspec import Struct

from app.config.settings import Config
from app.config.variables import application_of
from app.http.page.context import PageContext
from app.http.page.login.discord import DiscordLogin
from app.http.page.login.links import LoginLinks
from app.http.page.login.login import Login
from app.http.page.page import Page, PagePart
from app.http.page.protection.addresses import address_of
from app.http.page.protection.ended_sessions import FILE, EndedSessions
from app.http.page.protection.key import read_key
from app.http.page.protection.rate_limits import RateLimits
from app.http.page.protection.sessions import Sessions
from app.http.page.protection.signing import Signer
from app.http.page.queue.page import QueuePage
from app.http.page.results.actions import ActionsPart
from app.http.page.results.files import Files
from app.http.page.results.gallery import GalleryPart
from app.http.page.results.picture import PicturePart
from app.http.page.static_files import StaticFiles
from app.http.sources import Sources


class Access(Struct, frozen=True):
    """See `app.service.page_access.PageAccess`."""

    links: LoginLinks
    address: str
    has_login: bool

    def link(self, person: str) -> str:
        """See `app.service.page_access.PageAccess`."""
        return self.links.link(person)


def gallery_parts(context: PageContext) -> list[PagePart]:
    """The gallery, the pages of its pictures, and what is done there."""
    picture = PicturePart(context)
    return [GalleryPart(context), picture, ActionsPart(context, picture), Files(context)]


class OpenPage(Struct, frozen=True):
    """The page, and how people get there."""

    page: Page
    access: Access


def open_page(config: Config, sources: Sources, *, everything: bool = False) -> OpenPage:
    """Make the page, with the key in the data folder. Reads files. Raises `OSError`.

    With `everything`, nobody logs in, and everybody sees everything.
    """
    address, signer = address_of(config.page, config.http), Signer(read_key(config.data))
    ended = EndedSessions(config.data / FILE)
    ended.read()
    context = PageContext(
        address=address,
        signer=signer,
        sessions=Sessions(signer, address, ended=ended),
        static=StaticFiles(address.base),
        sources=sources,
        everything=everything,
    )
    links = LoginLinks(signer, address.url)
    discord = None
    if config.page.client_secret and (application := application_of(config.discord_token)):
        redirect = f"{address.url}/login/callback"
        discord = DiscordLogin(application, config.page.client_secret, config.discord.rest_url, redirect)
    parts = [Login(context, links, discord), *gallery_parts(context), QueuePage(context)]
    page = Page(context, parts, RateLimits(config.page.trusted_proxies))
    return OpenPage(page, Access(links, address.url, has_login=discord is not None))
