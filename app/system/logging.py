"""Logging to stderr, one line per entry, with secrets removed before anything else sees them."""

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
"""Values under such a name are hidden completely."""

SECRETS = re.compile(
    r"(?P<user>(?<=//)[^/\s@]+(?=@))"
    r"|(?P<scheme>\b(?:bearer|basic|bot)\s+)[\w+/.=~-]{8,}"
    r"|(?P<url>/(?:webhooks|interactions)/\d+/)[\w-]+"
    r"|(?P<token>\b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,})",
    re.IGNORECASE,
)
"""What is secret wherever it occurs: a user in an address, an authorization header, the end of an interaction's
address (whoever has it can answer in our name for 15 minutes), a bot's own token."""


def configure(*, debug: bool, json: bool = False, is_service: bool = False) -> None:
    """Send our log and the libraries' logs to stderr: warnings in one line each, or everything with `debug`.

    The libraries stay at INFO even then: below that, HTTP clients log the headers they send. A service also logs what
    it does: nobody watches it, and its log is all that is left afterwards. With `json`, each line is a JSON object.
    """
    first: list[Processor] = [
        redact,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
    ]
    if json:
        first.append(structlog.stdlib.add_logger_name)
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
            # Again, because only now has an exception become text.
            redact,
            structlog.processors.JSONRenderer()
            if json
            else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False),
        ],
    )
    handler = _Stderr()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO if debug else logging.WARNING, force=True)
    level = logging.DEBUG if debug else logging.INFO if is_service else logging.WARNING
    logging.getLogger("app").setLevel(level)


class _Stderr(logging.Handler):
    """Looks up stderr for each entry: a live table replaces it while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        # The program goes on if nobody reads stderr (a closed terminal, a full disk).
        with suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr)


def redact(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """A structlog processor: return the entry without secrets."""
    return {key: value if key.startswith(("_", "exc_info")) else _hide(key, value) for key, value in entry.items()}


def hide_secrets(text: str) -> str:
    """Return the text without secrets."""
    return SECRETS.sub(lambda match: f"{match['scheme'] or match['url'] or ''}{HIDDEN}", text)


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
    """A structlog processor: replace an exception with its name and text; the traceback needs --debug."""
    if exc_info := entry.pop("exc_info", None):
        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
        entry["error"] = f"{type(error).__name__}: {error}" if error else "unknown"
        entry["more"] = "--debug"
    return entry
