"""Orders that wait for their form: what was told before it was opened."""

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
"""Orders that may wait; one that is older is begun anew."""


class PendingForm(Struct, frozen=True, kw_only=True):
    """What was told so far, and the form that asks for the rest."""

    values: dict[str, Json] = {}
    files: tuple[Attached, ...] = ()
    preset: str = ""
    spoiler: bool = False
    asked: Form | None = None

    def check(self, workflow: Workflow, *, whole: bool = True) -> Mapping[str, Json]:
        """All values, if nothing speaks against them and the files. Raises `WorkflowError`."""
        told = {**preset(workflow, self.preset), **self.values}
        verify(workflow, told, whole=whole)
        for file in self.files:
            check(file, kind_of(workflow, file))
        return told


def kind_of(workflow: Workflow, file: Attached) -> str:
    """The kind of the slot that a file is for. Raises `WorkflowError` where the workflow no longer has such a slot."""
    for slot in uploads(workflow):
        if slot.name == file.slot:
            return slot.kind
    raise WorkflowError(f"“{workflow.title}” was changed and takes no file as {file.slot} now. Start again with it.")


class PendingForms:
    """Owns the orders that wait, by the interaction with which they began; the oldest go first."""

    def __init__(self) -> None:
        self._all: dict[str, PendingForm] = {}

    def put(self, interaction: str, pending: PendingForm) -> None:
        """Keep one."""
        self._all[interaction] = pending
        while len(self._all) > MOST:
            del self._all[next(iter(self._all))]

    def take(self, interaction: str) -> PendingForm | None:
        """Give one out, once."""
        return self._all.pop(interaction, None)
