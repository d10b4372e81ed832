"""The address that invites the bot to a Discord server."""

from __future__ import annotations

import hikari

from app.discord.gateway.guilds.channels import NEEDED

INVITED = NEEDED | hikari.Permissions.SEND_MESSAGES_IN_THREADS
"""What the invite link asks for."""


def invite_link(application: int) -> str:
    """The address that invites an application to a Discord server, with the permissions that it needs."""
    permissions = f"scope=bot+applications.commands&permissions={int(INVITED)}"
    return f"https://discord.com/oauth2/authorize?client_id={application}&{permissions}"
