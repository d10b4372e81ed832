"""Which servers a job may be sent to: those that can run its workflow, as far as anybody has said so, and may."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.jobs.job import JobRequest
from app.core.servers.state import ServerState
from app.events import ServerName

Offered = Mapping[str, tuple[ServerName, ...]]
"""The servers that can run each workflow, by its name; () for a workflow that none can run."""


class AbleServers:
    """Owns what was said last of what the servers can run; `servers` are the reconciler's.

    If `asked`, somebody asks the servers and says so; until the first answer, jobs keep to the servers that they name.
    Otherwise a job that names no server may go to all.
    """

    def __init__(self, servers: Mapping[ServerName, ServerState], *, asked: bool = False) -> None:
        self._servers = servers
        self.offered: Offered | None = None if asked else {}
        """None while no server has said what it can run."""

    def of(self, request: JobRequest) -> list[ServerName]:
        """The servers that a job may be sent to; none if it has to wait for one that can run it, and may.

        A job that names a model goes to those that have it, unless none of them is left.

        If no server can run its workflow any more, it goes to those that it names, whose answer its user then gets. If
        nobody says anything of its workflow, because the folder no longer has it, and those that it names are gone, it
        goes to any.
        """
        workflow, paid, offered = request.workflow, request.is_paid, self.offered
        permitted = [
            name for name, state in self._servers.items() if state.permits(workflow, paid=paid) and not state.leaving
        ]
        if offered is not None and (able := offered.get(workflow)):
            names = [name for name in permitted if name in able]
            with_model = [name for name in names if name in request.servers] if request.has_model else []
            return with_model or names
        named = [name for name in permitted if name in request.servers]
        return permitted if not named and offered is not None and workflow not in offered else named
