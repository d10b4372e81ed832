"""The page of /models: what can be made now, and with which models. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from app.discord.text import one_line, shorten, whole_lines
from app.discord.ui.components import INK, Block, Card, Text
from app.texts.discord import models as texts
from app.texts.model_names import model_name

LONGEST_NAME = 60
"""Characters of the name of a workflow or a model."""

MOST_WORKFLOWS_TEXT, MOST_TEXT = 2600, 3800
"""Characters of the workflows, if there are models, and of the page."""


class UsableWorkflow(Struct, frozen=True, kw_only=True):
    """A workflow that can be used now.

    `mention` is its command, `sources` the kinds of the files that it needs, and `words` says that it takes a prompt.
    `servers` is on how many servers it runs, `seconds` how long that usually takes, None if it never ran.
    """

    title: str
    mention: str
    result: str
    description: str
    sources: tuple[str, ...] = ()
    words: bool = False
    servers: int = 1
    seconds: float | None = None


def models(
    workflows: Sequence[UsableWorkflow], files: Mapping[str, Mapping[str, int]], servers: int, answering: int
) -> Card:
    """The page of workflows, and of the `files` of models by the title of their slot, with how many servers have each.

    There are so many `servers`, and so many of them are `answering`; those that are started when needed count.
    """
    if not workflows:
        return Card((Text(texts.NOTHING),), INK)
    lists = {title: _names(counts, servers) for title, counts in files.items() if counts}
    lines = [_workflow(workflow, servers) for workflow in workflows]
    kept = whole_lines(lines, MOST_WORKFLOWS_TEXT if lists else MOST_TEXT, f"-# {texts.MORE}")
    warning = [] if answering else [f"-# {texts.NO_SERVER}"]
    blocks: list[Block] = [Text("\n".join([f"### {texts.WORKFLOWS}", *warning, *kept]))]
    room = MOST_TEXT - len(blocks[0].text) if isinstance(blocks[0], Text) else 0
    for number, (title, names) in enumerate(lists.items()):
        share = room // (len(lists) - number)
        heading = f"### {one_line(title, LONGEST_NAME)}\n"
        text = heading + _joined(names, share - len(heading))
        room -= len(text)
        blocks.append(Text(text))
    return Card(tuple(blocks), INK)


def _workflow(workflow: UsableWorkflow, servers: int) -> str:
    if workflow.result:
        makes = texts.makes(workflow.result, workflow.sources, words=workflow.words)
    else:
        makes = one_line(workflow.description, LONGEST_NAME)
    usually = texts.usually(workflow.seconds) if workflow.seconds is not None else ""
    about = " · ".join(filter(None, [makes, usually, texts.servers(workflow.servers, servers)]))
    emoji = texts.EMOJI.get(workflow.result, texts.OTHER)
    head = " ".join(filter(None, [emoji, f"**{one_line(workflow.title, LONGEST_NAME)}**", workflow.mention]))
    return f"{head}\n-# {about}"


def _names(counts: Mapping[str, int], servers: int) -> list[str]:
    """Models by their human names, and on how many servers each is."""
    by_name: dict[str, int] = {}
    for file, count in counts.items():
        name = one_line(shorten(model_name(file), LONGEST_NAME), LONGEST_NAME)
        by_name[name] = max(count, by_name.get(name, 0))
    return [texts.some_servers(name, count, servers) for name, count in by_name.items() if name]


def _joined(names: Sequence[str], room: int) -> str:
    """As many names as there is room for, and how many more there are."""
    kept: list[str] = []
    room -= len(texts.further(len(names)))
    for name in names:
        room -= len(name) + 3
        if room < 0:
            break
        kept.append(name)
    further = len(names) - len(kept)
    return " · ".join([*kept, *([texts.further(further)] if further else [])])
