"""What the registry owns, for those who only read it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from app.core.jobs.job import Job
from app.core.jobs.tally import Tally
from app.core.servers.state import ServerState
from app.events import JobId, ServerName


class Work(Struct, frozen=True):
    """What the registry owns, to be read in its event loop and without waiting in between."""

    jobs: Mapping[JobId, Job]
    servers: Mapping[ServerName, ServerState]
    tally: Tally
