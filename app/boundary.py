"""The error boundary: how an entry point handles an unexpected exception.

Each entry point (one command, button, form, autocomplete or operator request, one effect of one job, the connection to
one server) has exactly one `except Exception` around everything it does, and calls `report_failure` or `log_failure`
there. The exception is logged under an id, the one user it belongs to sees that id, and nobody else is affected. Inside
the boundary, errors are not caught just to hide them.
"""

from __future__ import annotations

import secrets
import traceback
from pathlib import Path

import structlog

logger = structlog.stdlib.get_logger(__name__)

APP = Path(__file__).parent


def new_id() -> str:
    """A short id that is unique enough to find one log line: eight hexadecimal digits."""
    return secrets.token_hex(4)


def log_failure(error: Exception, what: str, **context: object) -> str:
    """Log an unexpected exception under a new id, which is returned; `what` is the log message."""
    identifier = new_id()
    logger.error(what, exc_info=error, id=identifier, at=_origin(error), **context)
    return identifier


def report_failure(error: Exception, what: str, **context: object) -> str:
    """Log an unexpected exception like `log_failure`, and return the sentence for the user."""
    return f"Something went wrong (id {log_failure(error, what, **context)})."


def _origin(error: Exception) -> str:
    """Where in our own code an exception was raised, as "path:line"; "" if it never touched our code."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(APP)]
    return f"{Path(ours[-1].filename).relative_to(APP.parent).as_posix()}:{ours[-1].lineno}" if ours else ""
