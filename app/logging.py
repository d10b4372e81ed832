"""Logs: one line each on stderr, with secrets removed before anything else sees them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"

SECRET_NAME = re.compile(r"token|secret|password|authorization|cookie|api_?key", re.IGNORECASE)
"""Whatever has such a name is hidden whole."""

SECRETS = re.compile(
    r"(?P<user>(?<=//)[^/\s@]+(?=@))"
    r"|(?P<scheme>\b(?:bearer|basic|bot)\s+)[\w+/.=~-]{8,}"
    r"|(?P<url>/(?:webhooks|interactions)/\d+/)[\w-]+"
    r"|(?P<token>\b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,})",
    re.IGNORECASE,
)
"""What is secret wherever it stands: a user in an address, an authorization header, the end of an
interaction's address (whoever has it can answer in our name for 15 minutes), a bot's own token."""


def configure(*, debug: bool) -> None:
    """Have our log and the libraries' on stderr: warnings in one line each, or all of it with `debug`.

    The libraries stay at INFO even then: below it, HTTP clients write down the headers they send.
    """
    first: list[Processor] = [
        redact,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    show_errors: Processor = structlog.processors.format_exc_info if debug else _name_error
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=first,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            show_errors,
            # Once more: only now an exception has become text.
            redact,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False),
        ],
    )
    handler = _Stderr()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO if debug else logging.WARNING, force=True)
    logging.getLogger("app").setLevel(logging.DEBUG if debug else logging.WARNING)


class _Stderr(logging.Handler):
    """Asks for stderr anew each time: a live table puts itself in its place while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        # Without anybody who reads it (a closed terminal, a full disk), the program goes on.
        with suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr)


def redact(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """A processor: the same entry without secrets."""
    return {key: value if key.startswith(("_", "exc_info")) else _hide(key, value) for key, value in entry.items()}


def hide_secrets(text: str) -> str:
    """The same text without secrets."""
    return SECRETS.sub(lambda found: f"{found['scheme'] or found['url'] or ''}{HIDDEN}", text)


def _hide(key: str, value: object) -> object:
    if SECRET_NAME.search(key):
        return HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            items = cast("Mapping[object, object]", value)
            return {str(name): _hide(str(name), item) for name, item in items.items()}
        case list() | tuple():
            return [_hide("", item) for item in cast("list[object]", value)]
        case BaseException():
            return hide_secrets(f"{type(value).__name__}: {value}")
        case _:
            return hide_secrets(str(value))


def _name_error(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """A processor: an exception becomes its name and text; the traceback needs --debug."""
    if told := entry.pop("exc_info", None):
        error = told if isinstance(told, BaseException) else sys.exc_info()[1]
        entry["error"] = f"{type(error).__name__}: {error}" if error else "unknown"
        entry["more"] = "--debug"
    return entry
