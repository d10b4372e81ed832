"""The settings of the Discord frontend and of alerts."""

from __future__ import annotations

import difflib

from app.config.addresses import is_webhook, rest_url_of
from app.config.settings import BUTTONS, NOTIFY, AlertTargets, Discord
from app.config.tables.keeping import KEEP_DAYS
from app.config.toml_table import Table, discord_id, short

LONGEST_WAIT = 86_400
"""Seconds: the most that `notify_after` may be, a day."""

MOST_SHARDS = 1_000
"""Discord allows about as many sessions a day."""


def read_discord(table: Table) -> Discord:
    """The settings in `[discord]`. Raises `ConfigError`."""
    table.check_keys((*Discord.__struct_fields__, KEEP_DAYS))
    guarded: list[str] = []
    for button in table.items("guarded", Discord().guarded):
        if button not in BUTTONS:
            hint = difflib.get_close_matches(str(button), BUTTONS, 1)
            meant = f"did you mean “{hint[0]}”?" if hint else f"write some of {', '.join(BUTTONS)}."
            raise table.error("guarded", f"“guarded” cannot have “{short(str(button))}”: {meant}")
        guarded.append(str(button))
    rest_url = table.text("rest_url", "")
    user_install = table.flag("user_install", default=False)
    if user_install and table.items("guilds", ()):
        raise table.error("user_install", "“user_install” works only with global commands: remove “guilds”.")
    notify = table.text("notify", Discord().notify)
    if notify not in NOTIFY:
        raise table.error("notify", f"“notify” cannot be “{short(notify)}”: write one of {', '.join(NOTIFY)}.")
    return Discord(
        guilds=_guilds(table, "guilds"),
        rest_url=rest_url_of(rest_url, lambda sentence: table.error("rest_url", sentence)) if rest_url else "",
        presence=table.shown_text("presence", Discord().presence),
        guarded=tuple(dict.fromkeys(guarded)),
        keep_metadata=table.flag("keep_metadata", default=False),
        mark_results=table.flag("mark_results", default=Discord().mark_results),
        label_guilds=_guilds(table, "label_guilds"),
        notify=notify,
        user_install=user_install,
        notify_after=table.whole("notify_after", Discord().notify_after, 0, LONGEST_WAIT),
        workflow_commands=_workflow_names(table, "workflow_commands"),
        shards=table.whole("shards", Discord().shards, 0, MOST_SHARDS),
    )


def _workflow_names(table: Table, key: str) -> tuple[str, ...] | None:
    """The names of workflows; None if the key is not there, which means all."""
    if key not in table.values():
        return None
    names: list[str] = []
    for number, name in enumerate(table.items(key, ())):
        if not isinstance(name, str):
            raise table.error(key, f'“{key}” must be names of workflows, such as ["txt2img"].', number)
        names.append(name.strip())
    return tuple(dict.fromkeys(names))


def _guilds(table: Table, key: str) -> tuple[int, ...]:
    guilds: list[int] = []
    for number, guild in enumerate(table.items(key, ())):
        if not (guild_id := discord_id(guild)):
            raise table.error(key, f"“{key}” must be ids of servers, such as [123456789012345678].", number)
        guilds.append(guild_id)
    return tuple(dict.fromkeys(guilds))


def read_alerts(table: Table) -> AlertTargets:
    """The settings in `[alerts]`. Raises `ConfigError`."""
    table.check_keys(AlertTargets.__struct_fields__)
    channel = table.values().get("channel", 0)
    if not (channel_id := discord_id(channel)) and (channel != 0 or isinstance(channel, bool)):
        raise table.error("channel", "“channel” must be the id of a channel, such as 123456789012345678, or 0.")
    webhook = table.text("webhook", "")
    if webhook and not is_webhook(webhook):
        # The address is a secret, so it is not repeated.
        raise table.error("webhook", "“webhook” is not an address: write https://, a host and a path, or leave it out.")
    return AlertTargets(owner=table.flag("owner", default=False), channel=channel_id, webhook=webhook)
