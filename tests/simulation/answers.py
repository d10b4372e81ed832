"""How Discord answers at times: late, not at all, or with an error. Its errors are hikari's, classified by the bot."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NoReturn

import anyio
import hikari
import msgspec
from msgspec import Struct

from app.discord.gateway.bot import TIMES, TRIES_AGAIN
from app.discord.gateway.rest.client import translated
from app.discord.messages.ports import Away

URL = "https://discord.com/api/v10/channels/1/messages/2"

HEADERS = {"Content-Type": "application/json"}

AGAIN = 1.0, 2.0
"""Seconds that hikari waits before it tries a request again."""

assert TIMES.request_socket_read is not None
NO_ANSWER = (1 + TRIES_AGAIN) * TIMES.request_socket_read
"""Seconds without a byte from Discord after which hikari gives up a request, its own retries included."""

SLOWLY = 1.0, 5.0
"""Seconds of an answer while Discord is slow."""

CODES = (
    (404, 10003),  # unknown channel
    (404, 10004),  # unknown guild
    (404, 10008),  # unknown message
    (404, 10015),  # unknown webhook
    (404, 10062),  # unknown interaction
    (400, 20009),  # explicit content
    (400, 20016),  # slow mode
    (400, 20028),  # too much is written in the channel
    (400, 30046),  # too many edits of an old message
    (429, 30046),
    (401, 40001),  # unauthorized
    (413, 40005),  # too large
    (400, 40060),  # acknowledged already
    (403, 50001),  # no access
    (403, 50005),  # another author's message
    (403, 50007),  # a person takes no messages
    (403, 50013),  # a missing permission
    (401, 50027),  # invalid webhook token
    (400, 50035),  # invalid form body
    (400, 50083),  # an archived thread
    (400, 160005),  # a locked thread
    (400, 160010),  # a thread that nobody can write to
    (400, 220001),  # a forum needs a thread
    (429, 0),
    (500, 0),
)
"""Errors of which the bot knows something, or which are likely, as (HTTP status, code).

https://discord.com/developers/docs/topics/opcodes-and-status-codes
"""

OTHER_CODES = (
    *range(10001, 10017),
    *(10020, *range(10026, 10034), 10036, 10050, 10057, *range(10059, 10072), 10087, 10097, 10124),
    *(20001, 20002, 20012, 20018, 20022, 20024, 20026, 20029, 20031, 20035),
    *(*range(30001, 30009), 30010, 30013, 30015, 30016, 30018, 30019, *range(30030, 30036), *range(30037, 30041)),
    *(30042, 30043, 30045, 30047, 30048, 30052, 30056, 30058, 30060, 30061),
    *(40002, 40003, 40004, 40006, 40007, 40012, 40018, 40032, 40033, 40041, 40043, 40058, *range(40061, 40063)),
    *(40066, 40067, 40074, 40094, 40333),
    *(*range(50001, 50042), 50045, 50046, 50048, 50053, 50054, 50055, 50057, 50067, 50068, 50070, 50074, 50080, 50081),
    *(50083, 50084, 50085, 50086, 50095, 50097, 50101, *range(50103, 50111), 50131, 50132, 50138, 50144, 50145, 50146),
    *(50161, 50162, 50163, 50173, 50178, 50192, 50278, 50600, 60003, 80004, 90001, 110001, 130000, 150006),
    *(160002, 160004, 160005, 160006, 160007, 160010, *range(170001, 170008), 180000, 180002, 200000, 200001),
    *(*range(220001, 220006), 240000, 340001, 340015, 350000, 350001, 500000, 520000, 520001, 530000, 530007),
)
"""Every other code that Discord documents, for whatever call. Each comes with any of these statuses."""

STATUSES = 400, 403, 404, 409

OTHERS = 12
"""How often one of them is drawn, among as many `CODES` and `PAGES` as there are."""

PAGES = ((502, b"<html><title>502 Bad Gateway</title></html>"), (400, b""), (403, b""), (502, b""), (403, b"[1]"))
"""Answers that are no JSON object, as (HTTP status, body): a proxy's page, nothing at all, and a list."""

CONTENT = frozenset({40005, 50006, 50035})
"""Codes after which a simpler message may be sent."""

REMOVED = 404, 10003
"""The answer in a channel that was removed."""


NO_DIRECT_MESSAGES = 403, 50007
"""The answer to a direct message to somebody who takes none."""


class Verdict(Struct, frozen=True):
    """What comes of one call: it has no effect if it was `refused`, and its answer is lost if it is `unanswered`."""

    refused: Exception | None = None
    unanswered: Exception | None = None
    content: bool = False
    """Whether a simpler message may be taken."""

    @property
    def odd(self) -> bool:
        """Whether the call did not simply succeed."""
        return self.refused is not None or self.unanswered is not None


FINE = Verdict()


class Answers:
    """Owns how Discord answers at the moment. Times are in the loop's clock."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.waited: set[int | None] = set()
        """Messages that a call hung about; None if a new one was to be posted."""
        self.calm()

    def calm(self) -> None:
        """From now on every call is answered at once, and as it deserves."""
        self.slow_until = self.odd_until = self.hangs_until = float("-inf")
        self.hangs: Callable[[str, int | None], bool] = everywhere
        """Whether a call hangs that is about this channel and this message; None for a new one."""

    async def wait(self, channel: str, message: int | None) -> None:
        """Wait for the answer of a call. Raises `Away` if none comes."""
        now = anyio.current_time()
        if now < self.hangs_until and self.hangs(channel, message):
            gives_up = now + NO_ANSWER + self._rng.uniform(*AGAIN)
            self.waited.add(message)
            # A connection that is lost stays silent, although Discord would answer another one by then.
            lost = self._rng.random() < 0.5
            if lost or gives_up < self.hangs_until:
                await anyio.sleep_until(gives_up)
                raise Away("Discord does not answer in time.")
            await anyio.sleep_until(self.hangs_until)
        if anyio.current_time() < self.slow_until:
            await anyio.sleep(self._rng.uniform(*SLOWLY))

    def verdict(self) -> Verdict:
        """What comes of a call about a message."""
        if anyio.current_time() >= self.odd_until or self._rng.random() < 0.5:
            return FINE
        number = self._rng.randrange(len(CODES) + len(PAGES) + OTHERS)
        if number < len(CODES):
            status, code = CODES[number]
            error = error_of(status, code)
        elif number < len(CODES) + len(PAGES):
            (status, body), code = PAGES[number - len(CODES)], 0
            error = error_of(status, body=body)
        else:
            status, code = self._rng.choice(STATUSES), self._rng.choice(OTHER_CODES)
            error = error_of(status, code)
        # Only what fails within Discord may have been done all the same.
        if status >= 500 and self._rng.random() < 0.5:
            return Verdict(unanswered=error)
        return Verdict(refused=error, content=code in CONTENT)


def everywhere(channel: str, message: int | None) -> bool:
    """Every call hangs."""
    del channel, message
    return True


def error_of(status: int, code: int = 0, *, body: bytes | None = None) -> Exception:
    """The error that hikari raises for such an answer."""
    if body is not None and body.startswith(b"["):
        return AssertionError()
    sentence = f"Error {code}"
    raw = msgspec.json.encode({"code": code, "message": sentence}) if body is None else body
    told, number = ("", 0) if body is not None else (sentence, code)
    match status:
        case 400:
            return hikari.BadRequestError(url=URL, headers=HEADERS, raw_body=raw, message=told, code=number)
        case 401:
            return hikari.UnauthorizedError(url=URL, headers=HEADERS, raw_body=raw, message=told, code=number)
        case 403:
            return hikari.ForbiddenError(url=URL, headers=HEADERS, raw_body=raw, message=told, code=number)
        case 404:
            return hikari.NotFoundError(url=URL, headers=HEADERS, raw_body=raw, message=told, code=number)
        case 429:
            # It waits by itself, unless it is not told for how long.
            return hikari.HTTPResponseError(
                url=URL, status=status, headers=HEADERS, raw_body=str(raw), message=str(raw)
            )
        case _ if status >= 500:
            return hikari.InternalServerError(url=URL, status=status, headers=HEADERS, raw_body=raw)
        case _:
            return hikari.ClientHTTPResponseError(url=URL, status=status, headers=HEADERS, raw_body=raw)


def fail_with(error: Exception) -> NoReturn:
    """Raise what the bot makes of one of hikari's errors."""
    with translated():
        raise error
    raise AssertionError(error)
