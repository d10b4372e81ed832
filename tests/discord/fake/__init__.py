"""A Discord on the loopback: real HTTP, a real gateway, and the refusals of the real one."""

from tests.discord.fake.cdn import Upload
from tests.discord.fake.interactions import Interaction
from tests.discord.fake.messages import Revision
from tests.discord.fake.options import Impossible
from tests.discord.fake.server import APPLICATION, TOKEN, FakeDiscord, running
from tests.discord.fake.state import Fault, Request
from tests.discord.fake.views import buttons_of, media_of, text_of
from tests.discord.fake.wire import ApiError, Payload
from tests.discord.fake.world import Channel, Guild, Person

__all__ = [
    "APPLICATION",
    "TOKEN",
    "ApiError",
    "Channel",
    "FakeDiscord",
    "Fault",
    "Guild",
    "Impossible",
    "Interaction",
    "Payload",
    "Person",
    "Request",
    "Revision",
    "Upload",
    "buttons_of",
    "media_of",
    "running",
    "text_of",
]
