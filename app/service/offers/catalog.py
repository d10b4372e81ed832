"""The workflows that are offered, as their folder is now, and which servers can run each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import structlog
from anyio import to_thread
from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.job import JobRequest
from app.events import ServerName
from app.ports import Json
from app.reasons import Reason
from app.service.offers.model_servers import lists_models
from app.service.people.permissions import check_can_use
from app.service.reasons import (
    AllowedNowhere,
    AllowedUnknown,
    FolderUnreadable,
    LastVersionKept,
    NotOffered,
    WorkflowRemoved,
    WorkflowsNotOffered,
)
from app.service.requests import Person
from app.texts.reasons.text import reason_text
from app.workflows.files import Folders, as_folders
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.availability import Offer, conflicts, offers, warnings

logger = structlog.stdlib.get_logger(__name__)

LOOK = 1.0
"""Seconds between two checks of the folder: whoever edits a manifest looks at Discord next."""

Signature = tuple[tuple[str, int, int], ...]


class OfferRules(Struct, frozen=True):
    """What a frontend demands of the workflows that it offers."""

    name_problem: Callable[[str], Reason | None] = lambda _: None
    """Returns why a workflow of this name cannot be offered, None if it can."""
    warnings: Callable[[Sequence[Workflow]], Iterable[Reason]] = lambda _: ()
    """Returns a reason for each thing in the manifests that the frontend cannot show."""
    with_commands: Callable[[Mapping[str, Workflow]], Mapping[str, Workflow]] = lambda workflows: workflows
    """Returns the workflows with the commands that they really have."""


class Catalog:
    """Owns the table of workflows that are offered, and which servers can run each.

    A workflow that cannot be read keeps its last good version; one that no server can run is not offered. A server that
    is away counts as last seen, so that commands do not come and go with it. A server that was never seen counts for
    nothing; if none was ever seen, every readable workflow is offered.

    A server that the bot starts when jobs need it, as `is_started` says, is the exception: until it was seen, it counts
    as able to run everything.

    `servers` may change. `workflows_of` returns the names of the workflows that the operator allows on a server, None
    for all; a workflow that is allowed on none is not offered. `pays_on` says whether a workflow that costs money may
    run on a server.
    """

    def __init__(
        self,
        folders: Folders,
        servers: Collection[ServerName],
        definitions_of: Callable[[ServerName], Definitions | None],
        rules: OfferRules | None = None,
        workflows_of: Callable[[ServerName], Collection[str] | None] = lambda _: None,
        pays_on: Callable[[ServerName], bool] = lambda _: False,
        is_started: Callable[[ServerName], bool] = lambda _: False,
    ) -> None:
        self._is_started = is_started
        self._folders = as_folders(folders)
        self._servers = servers
        self._definitions_of = definitions_of
        self._workflows_of = workflows_of
        self._pays_on = pays_on
        self._paying: frozenset[ServerName] = frozenset()
        """The servers on which workflows could cost money when the folder was read last."""
        self._rules = rules or OfferRules()
        self._permitted: Mapping[ServerName, Collection[str] | None] = {}
        """What the servers were allowed to run when the folder was read last."""
        self._known: dict[ServerName, Definitions] = {}
        """What the servers had when the folder was read last."""
        self._signature: Signature | None = None
        self.readable: Mapping[str, Workflow] = {}
        """The last good version of every workflow of the folder, offered or not."""
        self._warned: frozenset[str] = frozenset()
        self.workflows: Mapping[str, Workflow] = {}
        self.servers: Mapping[str, tuple[ServerName, ...]] = {}
        """The servers that a workflow can be sent to, if not all of them."""
        self._able: dict[str, tuple[ServerName, ...]] = {}
        """The servers that each readable workflow can be sent to, () for none."""
        self.refused: Mapping[str, Reason] = {}
        """Why a workflow of the folder is not offered."""

    def title(self, name: str) -> str:
        """What people call a workflow, also one that is not offered any more."""
        workflow = self.readable.get(name)
        return (workflow.title if workflow is not None else "") or name

    def definitions(self, name: str) -> Definitions | None:
        """The node definitions of a server that can run this workflow; None if none has sent any."""
        able = map(self._definitions_of, self.servers.get(name, self._servers))
        return next((definitions for definitions in able if definitions is not None), None)

    def able_definitions(self, name: str) -> list[Definitions]:
        """The node definitions of all servers that can run this workflow, as far as they are known."""
        able = map(self._definitions_of, self.servers.get(name, tuple(self._servers)))
        return [definitions for definitions in able if definitions is not None]

    def able(self, request: JobRequest) -> tuple[ServerName, ...]:
        """The servers that can run this request now, () if nobody knows; its own if its workflow is not offered."""
        if request.workflow not in self.workflows:
            return request.servers
        return self._able[request.workflow] if self._known else ()

    def placed(self, request: JobRequest) -> JobRequest:
        """The request for the servers that can run it now: if it names models, for those that have them."""
        able = self.able(request)
        if (workflow := self.workflows.get(request.workflow)) is None or not able:
            return replace(request, servers=able, has_model=False)
        having = tuple(server for server in able if self._has_models(server, workflow, request.values))
        narrower = 0 < len(having) < len(able)
        return replace(request, servers=having if narrower else able, has_model=narrower)

    def _has_models(self, server: ServerName, workflow: Workflow, values: Mapping[str, Json]) -> bool:
        """Whether a server has the models that a request names; one that was never seen may have them all."""
        definitions = self._definitions_of(server)
        return definitions is None or lists_models(workflow, definitions, values)

    def offered(self, silent: Collection[ServerName] = ()) -> dict[str, tuple[ServerName, ...]] | None:
        """The servers that each readable workflow can be sent to, by its name; None if nobody knows.

        `silent` servers answer, but do not say what they can run: if there is no other one, they count as able.
        """
        if self._known or silent:
            return dict(self._able)
        # Those that are started when a job needs them can only be seen after that.
        started = [server for server in self._servers if self._is_started(server)]
        if not started:
            return None
        return {name: tuple(server for server in able if server in started) for name, able in self._able.items()}

    def usable(self, name: str, person: Person) -> Workflow:
        """An offered workflow that the person may use. Raises `WorkflowError`."""
        if (workflow := self.workflows.get(name)) is None:
            if name in self.refused:
                raise WorkflowError(NotOffered(name))
            raise WorkflowError(WorkflowRemoved(name))
        check_can_use(workflow, person)
        return workflow

    async def look(self) -> bool:
        """Read the folder again if it or the servers changed. Returns whether the offered workflows changed.

        Each problem is logged once.
        """
        try:
            signature = await to_thread.run_sync(_signature, self._folders)
            known = {
                server: definitions
                for server in tuple(self._servers)
                if (definitions := self._definitions_of(server)) is not None
            }
            permitted = {server: self._workflows_of(server) for server in self._servers}
            paying = frozenset(filter(self._pays_on, self._servers))
            now = signature, known, permitted, paying
            if now == (self._signature, self._known, self._permitted, self._paying):
                return False
            self._signature, self._known, self._permitted, self._paying = now
            offered = await to_thread.run_sync(offers, self._folders, known, self.readable, paying)
        except OSError as error:
            # The folder is probably being changed; the next look reads it again.
            self._signature = None
            self._warn([FolderUnreadable(str(error.filename or self._folders[0]), error.strerror or str(error))])
            return False
        except Exception:
            # The caller reports it, and the next look reads the folder again.
            self._signature = None
            raise
        before = self.workflows, self.servers, self.refused
        self._take(offered, known)
        return before != (self.workflows, self.servers, self.refused)

    def _take(self, offered: Sequence[Offer], known: Collection[ServerName]) -> None:
        workflows: dict[str, Workflow] = {}
        servers: dict[str, tuple[ServerName, ...]] = {}
        unnameable = {offer.name: problem for offer in offered if (problem := self._rules.name_problem(offer.name))}
        unseen = {server for server in self._permitted if server not in known and self._is_started(server)}
        refused = unnameable | {
            offer.name: offer.refusal
            for offer in offered
            if offer.refusal is not None and not (unseen and offer.workflow is not None)
        }
        able_of: dict[str, tuple[ServerName, ...]] = {
            offer.name: ()
            for offer in offered
            if offer.workflow is not None and offer.name in refused and offer.name not in unnameable
        }
        for offer in offered:
            if offer.workflow is None or offer.name in refused:
                continue
            runs_on = offer.servers | unseen if known else self._permitted.keys()
            able = tuple(
                server
                for server, allowed in self._permitted.items()
                if server in runs_on
                and (allowed is None or offer.name in allowed)
                and (offer.workflow.price is None or server in self._paying)
            )
            able_of[offer.name] = able
            if self._permitted and not able:
                refused[offer.name] = AllowedNowhere(offer.name)
                continue
            workflows[offer.name] = offer.workflow
            if len(able) < len(self._permitted):
                servers[offer.name] = able
        self.readable = {offer.name: offer.workflow for offer in offered if offer.workflow is not None}
        self.workflows = self._rules.with_commands(workflows)
        self.servers, self.refused, self._able = servers, refused, able_of
        wrong: list[Reason] = [
            LastVersionKept(offer.problem)
            for offer in offered
            if offer.problem is not None and offer.workflow is not None
        ]
        broken = {offer.name for offer in offered if offer.workflow is None} | unnameable.keys()
        wrong += [reason for name, reason in refused.items() if name in broken]
        # Most of these only lack a model that nobody needs: one line for all of them.
        if unable := [name for name in refused if name not in broken]:
            logger.info(
                "workflows are not offered", reasons=[reason_text(refused[name], operator=True) for name in unable]
            )
            wrong.append(WorkflowsNotOffered(tuple(unable)))
        wrong += unknown_workflows(self._permitted, [offer.name for offer in offered])
        everything = list(workflows.values())
        self._warn([*wrong, *conflicts(everything), *warnings(offered), *self._rules.warnings(everything)])

    def _warn(self, wrong: Sequence[Reason]) -> None:
        sentences = [reason_text(reason, operator=True) for reason in wrong]
        for sentence in sentences:
            if sentence not in self._warned:
                logger.warning("a workflow cannot be used as it is", reason=sentence)
        self._warned = frozenset(sentences)


def unknown_workflows(
    permitted: Mapping[ServerName, Collection[str] | None], names: Sequence[str]
) -> Iterator[AllowedUnknown]:
    """Yield a reason for each workflow that a server may run and that the folder does not have."""
    for server, allowed in permitted.items():
        for name in allowed or ():
            if name not in names:
                yield AllowedUnknown(server, name, tuple(names))


def _signature(folders: Sequence[Path]) -> Signature:
    files: list[tuple[str, int, int]] = []
    for path in sorted(path for folder in folders for glob in ("*", "*/*") for path in folder.glob(glob)):
        if path.suffix in {".json", ".toml"}:
            try:
                stat = path.stat()
            except OSError:
                # Deleted since it was listed, or a broken link.
                continue
            files.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(files)
