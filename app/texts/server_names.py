"""What people in Discord call each server: the name that the operator gave it, never its address."""

from __future__ import annotations

from collections.abc import Mapping

from app.events import ServerName

UNNAMED = "the image server"
"""A server without a name, and one that is no longer configured."""


def public_names(names: Mapping[ServerName, str]) -> dict[ServerName, str]:
    """The public name of each server. `names` maps each to the name in the configuration, "" if it has none."""
    unnamed = [server for server, name in names.items() if not name]
    if len(unnamed) == 1:
        return {server: name or UNNAMED for server, name in names.items()}
    return {server: name or f"image server {unnamed.index(server) + 1}" for server, name in names.items()}
