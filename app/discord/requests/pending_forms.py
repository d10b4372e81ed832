"""Requests that wait for their form: what was given before it was opened."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from app.discord.files.download import check
from app.discord.ui.components import Form
from app.discord.ui.options import preset, uploads, verify
from app.discord.user_request import Attached
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError

MOST = 256
"""Requests that may wait; older ones are dropped, and their person has to start again."""


class PendingForm(Struct, frozen=True, kw_only=True):
    """What was given so far, and the form that asks for the rest."""

    values: dict[str, Json] = {}
    files: tuple[Attached, ...] = ()
    preset: str = ""
    spoiler: bool = False
    asked: Form | None = None

    def check(self, workflow: Workflow, *, whole: bool = True) -> Mapping[str, Json]:
        """All values, if they and the files are acceptable. Raises `WorkflowError`."""
        told = {**preset(workflow, self.preset), **self.values}
        verify(workflow, told, whole=whole)
        for file in self.files:
            check(file, kind_of(workflow, file))
        return told


def kind_of(workflow: Workflow, file: Attached) -> str:
    """The kind of the slot that a file is for. Raises `WorkflowError` if the workflow no longer has such a slot."""
    for slot in uploads(workflow):
        if slot.name == file.slot:
            return slot.kind
    raise WorkflowError(f"“{workflow.title}” was changed and takes no file as {file.slot} now. Start again with it.")


class PendingForms:
    """Owns the waiting requests, by the id of the interaction that began them; the oldest are dropped first."""

    def __init__(self) -> None:
        self._all: dict[str, PendingForm] = {}

    def put(self, interaction: str, pending: PendingForm) -> None:
        """Keep a request."""
        self._all[interaction] = pending
        while len(self._all) > MOST:
            del self._all[next(iter(self._all))]

    def take(self, interaction: str) -> PendingForm | None:
        """Remove and return a request; None if there is none."""
        return self._all.pop(interaction, None)
