"""The workflows that are offered, as their folder is now, and which servers can run each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog
from anyio import to_thread
from msgspec import Raw

from app.core.job import JobRequest
from app.discord.follow_ups import unlisted
from app.discord.ui.options import LONGEST_WORKFLOW
from app.events import ServerName
from app.ports import Json
from app.texts.reasons import reason_text
from app.workflows.availability import Offer, conflicts, offers, warnings
from app.workflows.load import Workflow
from app.workflows.node_definitions import Definitions

logger = structlog.stdlib.get_logger(__name__)

LOOK = 1.0
"""Seconds between two checks of the folder: whoever edits a manifest looks at Discord next."""

Signature = tuple[tuple[str, int, int], ...]


class Catalog:
    """Owns the table of workflows that are offered, and which servers can run each.

    A workflow that cannot be read keeps its last good version; one that no server can run is not offered. A server that
    is away counts as last seen, so that commands do not come and go with it. A server that was never seen counts for
    nothing; if none was ever seen, every readable workflow is offered.
    """

    def __init__(self, folder: Path, servers: Collection[ServerName]) -> None:
        self._folder = folder
        self._servers = servers
        self._known: dict[ServerName, Definitions] = {}
        self._signature: Signature | None = None
        self._good: Mapping[str, Workflow] = {}
        self._wrong: frozenset[str] = frozenset()
        self.workflows: Mapping[str, Workflow] = {}
        self.servers: Mapping[str, tuple[ServerName, ...]] = {}
        """The servers that a workflow can be sent to, if not all of them."""
        self.refused: Mapping[str, str] = {}
        """Why a workflow of the folder is not offered."""

    def learn(self, server: ServerName, nodes: Mapping[str, Json]) -> None:
        """Store which nodes a server has; the next `look` checks all workflows again."""
        # As Python objects they would take ten times the memory, and most classes are never looked up.
        self._known[server] = Definitions({name: Raw(msgspec.json.encode(one)) for name, one in nodes.items()})
        self._signature = None

    def definitions(self, name: str) -> Definitions | None:
        """The node definitions of a server that can run this workflow; None if none has sent any."""
        return next((self._known[one] for one in self.servers.get(name, self._servers) if one in self._known), None)

    def able(self, request: JobRequest) -> tuple[ServerName, ...]:
        """The servers that can run this request now, () for all; the request's own if its workflow is not offered."""
        return self.servers.get(request.workflow, ()) if request.workflow in self.workflows else request.servers

    async def look(self) -> bool:
        """Read the folder again if it or the servers changed. Returns whether the offered workflows changed.

        Each problem is logged once.
        """
        try:
            signature = await to_thread.run_sync(_signature, self._folder)
            if signature == self._signature:
                return False
            known, self._signature = dict(self._known), signature
            found = await to_thread.run_sync(offers, self._folder, known, self._good)
        except OSError as error:
            # The folder is probably being changed; the next look reads it again.
            self._signature = None
            self._tell([f"The folder {self._folder} cannot be read: {error.strerror}."])
            return False
        except Exception:
            # The caller reports it, and the next look reads the folder again.
            self._signature = None
            raise
        before = self.workflows, self.servers, self.refused
        self._take(found, known)
        return before != (self.workflows, self.servers, self.refused)

    def _take(self, found: Sequence[Offer], known: Collection[ServerName]) -> None:
        workflows: dict[str, Workflow] = {}
        servers: dict[str, tuple[ServerName, ...]] = {}
        refused = {one.name: told for one in found if (told := _refusal(one))}
        for one in found:
            if one.workflow is None or one.name in refused:
                continue
            workflows[one.name] = one.workflow
            able = tuple(server for server in self._servers if server in one.servers)
            if known and len(able) < len(self._servers):
                servers[one.name] = able
        self._good = {one.name: one.workflow for one in found if one.workflow is not None}
        self.workflows, self.servers, self.refused = workflows, servers, refused
        wrong = [
            f"{reason_text(one.problem)} Its last good version is kept."
            for one in found
            if one.problem and one.workflow
        ]
        wrong += [refused[one.name] for one in found if one.workflow is None or _too_long(one.name)]
        # Most of these only lack a model that nobody needs: one line for all of them.
        if wanting := [name for name, told in refused.items() if told not in wrong]:
            logger.info("workflows are not offered", reasons=[refused[name] for name in wanting])
            wrong.append(f"No server can run {', '.join(wanting)}, so they are not offered: see check.")
        offered = list(workflows.values())
        wrong += [reason_text(reason) for reason in (*conflicts(offered), *warnings(found))]
        self._tell([*wrong, *unlisted(offered), *_nameless(offered)])

    def _tell(self, wrong: Sequence[str]) -> None:
        for sentence in wrong:
            if sentence not in self._wrong:
                logger.warning("a workflow cannot be used as it is", reason=sentence)
        self._wrong = frozenset(wrong)


def _refusal(one: Offer) -> str:
    return reason_text(one.refusal) if one.refusal is not None else _too_long(one.name)


def _too_long(name: str) -> str:
    if len(name) <= LONGEST_WORKFLOW:
        return ""
    return f"“{name}” is too long a name for Discord's buttons: {LONGEST_WORKFLOW} letters are the most."


def _nameless(workflows: Sequence[Workflow]) -> Iterator[str]:
    """Yield a sentence for each person or role that is not a numeric id: Discord identifies people by ids only."""
    for one in workflows:
        for told in (*one.users, *one.roles):
            if not told.isdecimal():
                yield f"{one.name}: “{told}” is no id; copy that of the person or the role in Discord."


def _signature(folder: Path) -> Signature:
    found: list[tuple[str, int, int]] = []
    for path in sorted(path for glob in ("*", "*/*") for path in folder.glob(glob)):
        if path.suffix in {".json", ".toml"}:
            try:
                stat = path.stat()
            except OSError:
                # Deleted since it was listed, or a broken link.
                continue
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)
