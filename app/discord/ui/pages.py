"""The pages of the bot's own commands: settings, jobs, queue, usage, models, status, help. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.config.settings import Allowed
from app.core.jobs.job import Job, JobRequest
from app.core.limits.moderation import Ban, GuildLimits
from app.core.limits.spending import SpendingUsed
from app.core.limits.usage import Used
from app.core.servers.power import PowerView
from app.discord import custom_id, message_ref
from app.discord.custom_id import ADJUST, NOTIFY
from app.discord.text import escape, shorten
from app.discord.ui.components import (
    INK,
    MOST_CHOICES,
    Block,
    Button,
    Card,
    Choice,
    File,
    Illustrated,
    Row,
    Select,
    Text,
    Upload,
    rows,
)
from app.events import Failed, Finished, JobId, Lost, ServerName
from app.ports import Json
from app.reasons import Reason
from app.reasons.limits import LimitReason
from app.service.job_settings import command_line, needs_files, settings_of
from app.service.jobs.follow_ups import FollowUpAction
from app.service.page_access import LINK_MINUTES
from app.service.people.notifications import Way
from app.service.server_monitor import ServerStatus
from app.service.slot_values import format_value
from app.service.statistics import Accuracy
from app.texts.discord import job_message as job_texts
from app.texts.discord import moderation, notifications
from app.texts.discord import pages as texts
from app.texts.discord.answers import you_wrote
from app.texts.discord.job_message import EDIT_PROMPT, SETTINGS
from app.texts.discord.power import hours_text, power_text
from app.texts.discord.usage import NO_LIMITS, USAGE, spending_line, usage_lines, weight_line
from app.texts.reasons.text import reason_text
from app.texts.server_names import UNNAMED
from app.texts.statistics import accuracy_text
from app.workflows.load import Workflow
from app.workflows.variations.derive import STRENGTHS, Change

MOST_TEXT = 3600
"""Characters of a page's list: the rest of Discord's 4,000 is for its head and its end."""

LONGEST_VALUE = 900
"""Characters of one setting."""

LONGEST_PROMPT = 1200
"""Characters of the prompt in the details; the graph has all of it."""

SHORT_VALUE = 30
"""Characters of a setting that shares a line with others."""

LONGEST_TITLE = 80
"""Characters by which another job is named."""

LONGEST_COMMAND = 3000
"""Characters of a command to copy."""

LONGEST_LABEL = 40
"""Characters on a follow-up's button."""

MOST_FOLLOW_UPS = 20
"""Follow-ups that are offered."""

LONGEST_REASON = 300
"""Characters of the reason why a workflow is not offered; the log has the full text."""

MOST_REASONS = 3
"""Unoffered workflows whose reasons are shown; if there are more, only their names are, as most just lack models."""

LONGEST_BAN_REASON = 200
"""Characters of the reason of a ban."""


def graph_file(request: JobRequest) -> bytes:
    """The graph in ComfyUI's API format, as JSON."""
    return msgspec.json.format(msgspec.json.encode(request.graph), indent=2)


class Relative(Struct, frozen=True):
    """A job from which another one was made, or that was made from it: what to read, and where it is, "" if unknown."""

    title: str
    link: str


def details(
    job: Job,
    workflow: Workflow | None,
    server_names: Mapping[ServerName, str],
    *,
    thumbnail: Upload | None = None,
    made_from: Relative | None = None,
    made_into: Sequence[Relative] = (),
) -> Card:
    """The details of a job: everything that made it, what it was made from and into, and its graph to download.

    `server_names` maps each server to the name that people may read; `thumbnail` is a small version of its result.
    """
    request, update = job.request, job.terminal_update
    title = escape(workflow.title if workflow else request.workflow)
    prompt = " ".join(str(request.values.get("prompt", "")).split())
    server = server_names.get(update.server, UNNAMED) if isinstance(update, Finished) else ""
    about = [title, texts.made_by(escape(server))] if server else [title]
    about = about if prompt else about[1:]
    head = [f"### {escape(shorten(prompt, LONGEST_PROMPT)) or title}", *([f"-# {' · '.join(about)}"] if about else [])]
    lines: list[str] = []
    short: list[str] = []
    for setting in settings_of(job, workflow):
        text = f"**{escape(setting.title)}** {escape(shorten(setting.value, LONGEST_VALUE))}"
        (short if len(setting.value) <= SHORT_VALUE else lines).append(text)
    short += [f"**Seed** `{request.seed}`"] if request.seed is not None else []
    lines += [" · ".join(short)] if short else []
    if isinstance(update, (Failed, Lost)):
        lines.append(escape(shorten(reason_text(update.reason), LONGEST_REASON)))
    family = [texts.made_from(_relative(made_from))] if made_from is not None else []
    family += [texts.made_into([_relative(child) for child in made_into])] if made_into else []
    lines.append(f"-# {texts.job(job.id)}")
    heading = "\n".join(head)
    blocks: list[Block] = [Illustrated(heading, thumbnail) if thumbnail is not None else Text(heading)]
    blocks += [Text("\n".join(family))] if family else []
    blocks.append(Text(_page(lines, MOST_TEXT - len(heading) - sum(map(len, family)))))
    blocks.append(File(Upload(f"{job.id[:8]}-workflow.json", data=graph_file(request))))
    buttons: list[Button] = []
    if workflow is not None:
        buttons += [Button(texts.COPY, custom_id.write("command", job.id))] if workflow.command else []
        buttons.append(Button(texts.SAVE_SETTINGS, custom_id.write("keep", job.id)))
    return Card((*blocks, *rows(buttons)), INK)


def _relative(relative: Relative) -> str:
    title = escape(shorten(relative.title, LONGEST_TITLE))
    return f"[{title}]({relative.link})" if relative.link else title


def relative(job: Job, workflow: Workflow | None) -> Relative:
    """A job as people read of it in the details of another one."""
    place = message_ref.read(job.place)
    title = workflow.title if workflow else job.request.workflow
    prompt = " ".join(str(job.request.values.get("prompt", "")).split())
    return Relative(f"{title}: {prompt}" if prompt else title, place.link if place and place.message else "")


def copied(workflow: Workflow, request: JobRequest) -> Card:
    """A job as the command that asks for the same again, to be copied; files cannot be part of it."""
    # Nothing in it may end the block of code.
    text = command_line(workflow, request).replace("```", "'" * 3)[:LONGEST_COMMAND]
    hints = [texts.PASTE, *([texts.ATTACH_AGAIN] if needs_files(workflow, request) else [])]
    return Card((Text(f"```\n{text}\n```"), Text("\n".join(f"-# {hint}" for hint in hints))), INK)


def more(
    job: JobId,
    message: str,
    follow_ups: Sequence[FollowUpAction],
    workflow: Workflow | None,
    changes: Collection[Change] = (),
    pictures: int = 0,
) -> Card:
    """What else can be done with a job that is shown in a message: further follow-ups, and to delete it.

    `changes` are what can be done to each of its pictures.
    """
    asked = [
        Button(shorten(f"{action.label.rstrip('…')}…", LONGEST_LABEL), _use(job, action))
        for action in follow_ups[:MOST_FOLLOW_UPS]
    ]
    own: list[Button] = []
    if workflow is not None:
        own.append(Button(SETTINGS, custom_id.write(ADJUST, job)))
        own.append(Button(texts.SAVE_SETTINGS, custom_id.write("keep", job)))
    own.append(Button(texts.DELETE, custom_id.write("delete", job, message)))
    heading = Text(f"### {texts.MORE_HEADING}\n-# {texts.DELETE_HINT}")
    return Card((heading, *_changing(job, changes, pictures), *rows(asked), *rows(own)), INK)


def _changing(job: JobId, changes: Collection[Change], pictures: int) -> tuple[Row | Select, ...]:
    """How a picture is extended; of several ones, a list in which the one to vary or extend is chosen."""
    if not changes or not pictures:
        return ()
    if pictures == 1:
        return tuple(rows(_changes(job, 0, [change for change in changes if change not in STRENGTHS])))
    numbers = range(1, min(pictures, MOST_CHOICES) + 1)
    choices = tuple(Choice(job_texts.picture(number), str(number)) for number in numbers)
    return (Select(custom_id.write("picture", job), job_texts.choose(job_texts.CHANGE_ONE, numbers[-1]), choices),)


def picture(job: JobId, number: int, changes: Collection[Change], thumbnail: Upload | None = None) -> Card:
    """What can be done to one of several pictures, of which `thumbnail` is a small version."""
    varied = [change for change in changes if change in STRENGTHS]
    extended = [change for change in changes if change not in STRENGTHS]
    lines = (*rows(_changes(job, number, varied)), *rows(_changes(job, number, extended)))
    heading = f"### {job_texts.picture(number)}"
    return Card((Illustrated(heading, thumbnail) if thumbnail is not None else Text(heading), *lines), INK)


def _changes(job: JobId, number: int, changes: Collection[str]) -> list[Button]:
    return [
        Button(label, custom_id.write(change, job, result=number))
        for change, label in job_texts.CHANGES.items()
        if change in changes
    ]


def _use(job: JobId, action: FollowUpAction) -> str:
    return custom_id.write("use", job, action.workflow, action.number)


def kept(workflow: Workflow, values: Mapping[str, Json]) -> Card:
    """The page that confirms somebody's saved settings for a workflow."""
    lines = [f"### {texts.saved_settings_of(escape(workflow.title))}", *_own(workflow, values)]
    lines.append(f"-# {texts.SAVED_SETTINGS_APPLY}")
    return Card((Text(_page(lines)),), INK)


def own_settings(
    saved: Mapping[str, Mapping[str, Json]], workflows: Mapping[str, Workflow], way: Way | None, note: str = ""
) -> Card:
    """The page of all settings that somebody has saved, by workflow.

    `way` is how they are notified, None if the operator allows no notifications; `note` is what to know about that.
    """
    blocks: tuple[Block, ...] = ()
    if way is not None:
        ways = [
            Button(label, custom_id.write(NOTIFY, "me", name), "primary" if name == way else "secondary")
            for name, label in notifications.WAYS.items()
        ]
        head = "\n".join(
            [f"### {notifications.HEADING}", notifications.CURRENT[way], *([f"-# {note}"] if note else [])]
        )
        blocks = (Text(head), *rows(ways))
    return Card((*blocks, Text(_saved(saved, workflows))), INK)


def _saved(saved: Mapping[str, Mapping[str, Json]], workflows: Mapping[str, Workflow]) -> str:
    lines: list[str] = []
    for name, values in saved.items():
        workflow = workflows.get(name)
        lines += [f"### {escape(workflow.title if workflow else name)}", *_own(workflow, values)]
    if not lines:
        return texts.NO_SAVED_SETTINGS
    return _page([*lines, f"-# {texts.RESET_HINT}"])


def _own(workflow: Workflow | None, values: Mapping[str, Json]) -> Iterator[str]:
    slots = {slot.name: slot for slot in workflow.slots} if workflow else {}
    for name, value in values.items():
        slot = slots.get(name)
        title, text = (slot.title, format_value(slot, value)) if slot else (name, str(value))
        yield f"**{escape(title)}** {escape(shorten(text, LONGEST_VALUE))}"


def usage(used: Iterable[Used], weight: float, spent: Iterable[SpendingUsed] = ()) -> Card:
    """The page of what somebody can still ask for; `weight` is how much of the servers' time beside others."""
    lines = [*(line for row in used for line in usage_lines(row)), *map(spending_line, spent)]
    lines = [f"### {USAGE}", *lines] if lines else [NO_LIMITS]
    if weight != 1.0:
        lines.append(weight_line(weight))
    return Card((Text(_page(lines)),), INK)


def limits(own: GuildLimits, ceilings: Allowed, bans: Sequence[Ban]) -> Card:
    """The page of a Discord server's limits and bans, for its moderators."""
    lines = [f"### {moderation.LIMITS}", moderation.limits_line(own.jobs, own.seconds)]
    lines += [f"-# {moderation.ceiling_line(ceilings.jobs, ceilings.seconds)}", f"-# {moderation.HINT}"]
    lines += [f"### {moderation.BANS}", *(map(ban_text, bans) if bans else [moderation.NOBODY])]
    return Card((Text(_page(lines)),), INK)


def ban_text(ban: Ban) -> str:
    """Who is banned, until when, and why."""
    until = "" if ban.until is None else f"<t:{round(ban.until)}:f>"
    return moderation.ban(mention(ban), until, escape(shorten(ban.reason, LONGEST_BAN_REASON)))


def mention(ban: Ban) -> str:
    """Whom a ban concerns."""
    return f"<@{ban.id}>" if ban.banned == "person" else f"<@&{ban.id}>"


def notice(text: str) -> Card:
    """A card with one line."""
    return Card((Text(text),), INK)


def web_page(link: str, address: str) -> Card:
    """How somebody gets to the web page: by a link that logs them in, and by its address if they can log in there."""
    blocks: list[Block] = [Text(texts.web_page(LINK_MINUTES)), Row((Button(texts.OPEN_PAGE, url=link),))]
    if address:
        blocks.append(Text(texts.page_address(address)))
    return Card(tuple(blocks), INK)


def status(
    servers: Sequence[ServerStatus],
    server_names: Mapping[ServerName, str],
    latency: float,
    unfinished: int,
    refused: Mapping[str, Reason],
    starts: Accuracy,
    drained: Collection[ServerName] = (),
    power: Mapping[ServerName, PowerView] = {},
) -> Card:
    """The status page. `latency` is that of Discord's gateway, in seconds; `starts` says how right expected ones were.

    `server_names` maps each server to the name that people may read, `refused` each workflow that is not offered to
    the reason. `drained` are the servers that get no new jobs, `power` those that the bot starts and stops.
    """
    lines = [f"### {texts.STATUS}", texts.connection(texts.milliseconds(latency), unfinished)]
    for server in servers:
        name, stats = escape(server_names.get(server.name, UNNAMED)), server.stats
        view = power.get(server.name)
        if stats is None:
            lines.append(texts.server_offline(name) if view is None else power_text(name, view))
            lines += [texts.DRAINED] if server.name in drained else []
            continue
        free, total = texts.gibibytes(stats.memory_free), texts.gibibytes(stats.memory_total)
        memory = texts.memory(free, total) if stats.memory_total else ""
        version = escape(stats.version)
        lines.append(texts.server(name, version, server.milliseconds, server.running, server.pending, memory))
        lines += [f"-# {hours_text(view)}"] if view is not None else []
        lines += [texts.DRAINED] if server.name in drained else []
        lines += [f"-# {escape(device)}" for device in stats.devices]
    if starts.jobs:
        lines.append(accuracy_text(starts.jobs, starts.right, 0))
    if len(refused) > MOST_REASONS:
        lines.append(texts.not_offered(escape(", ".join(refused))))
    else:
        reasons = [escape(shorten(reason_text(why), LONGEST_REASON)) for why in refused.values()]
        lines += map(texts.not_offered, reasons)
    return Card((Text(_page(lines)),), INK)


def _page(lines: Iterable[str], room: int = MOST_TEXT) -> str:
    """As many whole lines as fit into so many characters."""
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return "\n".join([*kept, f"-# {texts.MORE}"])
        kept.append(line)
    return "\n".join(kept)


def over_limit(reason: LimitReason, prompt: str, job: JobId) -> Card:
    """A card that says which limit is reached, with the prompt, and a button that asks for the same again."""
    refused = refusal(reason_text(reason), prompt)
    button = Button(texts.TRY_AGAIN, custom_id.write(custom_id.TRY_AGAIN, job), "primary")
    return Card((*refused.blocks, *rows([button])))


def not_edited(job: JobId, sentence: str, typed: str) -> Card:
    """A card that says why a job was not edited, with a button that opens the form again."""
    card = refusal(sentence, typed)
    return replace(card, blocks=(*card.blocks, *rows([Button(EDIT_PROMPT, custom_id.write("draft", job), "primary")])))


def refusal(sentence: str, typed: str = "") -> Card:
    """A card that says why nothing happens, with the text that was typed, to be copied."""
    blocks = [Text(shorten(escape(sentence), MOST_TEXT))]
    if typed:
        room = max(1, MOST_TEXT - len(blocks[0].text))
        blocks.append(Text(you_wrote(shorten(escape(typed), room))))
    return Card(tuple(blocks))
