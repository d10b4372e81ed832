"""The gallery: every request that has a result, as it is listed and searched. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from app.core.jobs.cost import MODEL_INPUTS
from app.core.jobs.job import Job
from app.events import Finished, JobId, NodeId
from app.ports import Json

Hidden: TypeAlias = Literal["", "others", "everybody"]
"""From whom an entry is hidden: from nobody, from all but its owner, or from everybody."""

PROMPTS = ("prompt", "text")
"""The slots that hold what a person wants to see or hear, the first one that has something."""


class GalleryQuery(Struct, frozen=True, kw_only=True):
    """What somebody looks for; "" and None mean any. Times are in seconds since 1970.

    All words of `text` must be in the prompt; the last one may be the beginning of a word.
    """

    text: str = ""
    owner: str = ""
    workflow: str = ""
    model: str = ""
    guild: str = ""
    since: float | None = None
    until: float | None = None


class GalleryEntry(Struct, frozen=True, kw_only=True):
    """One request with a result; a batch is one entry. `ended` is in seconds since 1970.

    `key` grows with the time at which jobs were accepted. `guild` and `channel` are where it was asked for, "" if that
    is not in a Discord server, and the channel may be a thread; `model` is the file of the model, "" if the graph names
    none.
    """

    key: int
    job: JobId
    owner: str
    guild: str
    channel: str
    workflow: str
    model: str
    prompt: str
    ended: float


class GalleryRow(Struct, frozen=True, kw_only=True):
    """What the journal has of one entry.

    `files` are the paths of the result, `place` is where it is shown, in the frontend's format. `width` and `height`
    are those of the thumbnail of the first file that has one, 0 if none could be made, None if that was not tried yet.
    """

    entry: GalleryEntry
    files: tuple[str, ...]
    place: str
    width: int | None
    height: int | None
    hidden: Hidden


class GalleryOrigin(Struct, frozen=True, kw_only=True):
    """Where an entry comes from: what one can filter by."""

    owner: str
    guild: str
    channel: str
    workflow: str
    model: str


class Audience(Struct, frozen=True):
    """For whom entries are read: their own ones, and those of all channels but these. With `everything`, all."""

    person: str
    without: frozenset[str] = frozenset()
    everything: bool = False


class Unmade(Struct, frozen=True):
    """An entry without thumbnails, and the paths of its files."""

    job: JobId
    files: tuple[str, ...]


class GalleryRecords(Protocol):
    """The part of the journal that keeps the gallery.

    A request is added in the commit that records its result, and removed with its job. Every method may raise
    `JournalUnavailable`.
    """

    async def gallery(
        self,
        query: GalleryQuery,
        audience: Audience,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> Sequence[GalleryRow]:
        """At most `limit` entries with keys below `before`, newest first; fewer only if there are no more.

        With `after`, those with keys above it, oldest first. Entries without a Discord server are only those of the
        audience. Whether the person may see the channels is not known here.
        """
        ...

    async def gallery_row(self, job: JobId) -> GalleryRow | None:
        """The entry of a job, also if it is hidden; None if it has none.

        If it was hidden before it ended, `ended` is 0.
        """
        ...

    async def shown_as(self, receipt: str) -> JobId | None:
        """The job of the entry that has this receipt, which proves that it was shown; None if there is none."""
        ...

    async def gallery_origins(self, audience: Audience, limit: int) -> Sequence[GalleryOrigin]:
        """Where the newest `limit` entries come from, each origin once, newest first."""
        ...

    async def hide_from_gallery(self, job: JobId, *, everybody: bool = False) -> None:
        """Show an entry to nobody but its owner from now on, or to nobody at all, also if the job has no result yet.

        Waits until the journal can be used, because what was deleted must not come back.
        """
        ...

    async def fill_gallery(self, limit: int, is_public: Callable[[Job], bool]) -> bool:
        """Add results of an earlier version, looking at `limit` jobs, newest first; False if all were looked at.

        Of those for which `is_public` returns False, only the owner sees the entry; it is called in another thread. The
        journal remembers which jobs are left, also after a restart.
        """
        ...

    async def next_without_thumbnails(self) -> Unmade:
        """The newest entry for which nobody has tried to make thumbnails; waits until there is one."""
        ...

    async def thumbnails_tried(self, job: JobId) -> GalleryRow | None:
        """The entry of a job, None if it has none. Waits until somebody has tried to make its thumbnails."""
        ...

    async def try_thumbnails_again(self, job: JobId) -> None:
        """Record that the thumbnails of an entry are gone, so that somebody makes them again."""
        ...

    async def keep_dimensions(self, job: JobId, width: int, height: int) -> None:
        """Record the pixels of an entry's first thumbnail; 0 and 0 if none could be made."""
        ...


def is_shown(job: Job) -> bool:
    """Whether a job is an entry: it has a result, and is the whole of what was asked for."""
    update = job.terminal_update
    whole = not job.request.lead and (job.request.batch is None or job.gathered)
    return whole and isinstance(update, Finished) and bool(update.files or update.texts)


def prompt_of(values: Mapping[str, Json]) -> str:
    """What a person described, by the values of the request; "" if its workflow asks for no description."""
    texts = (values.get(slot) for slot in PROMPTS)
    return next((text for text in texts if isinstance(text, str) and text), "")


def model_of(job: Job) -> str:
    """The file of the model that a job was made with; "" if that is not known."""
    update, request = job.terminal_update, job.request
    chosen = update.chosen if isinstance(update, Finished) else ()
    # An input that the server fills keeps the workflow's own value in the graph.
    values = {(choice.node, choice.input): "" for choice in request.choices}
    values |= {(model.node, model.input): model.value for model in chosen}
    for node, entry in request.graph.items():
        inputs = entry.get("inputs")
        for name in MODEL_INPUTS:
            value = inputs.get(name) if isinstance(inputs, dict) else None
            if isinstance(value, str) and (model := values.get((NodeId(node), name), value)):
                return model
    return ""
