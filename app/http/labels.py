"""The values of the label `server`: names that the operator chose, and never an address."""

from __future__ import annotations

from collections.abc import Mapping

from app.config.settings import Server
from app.events import ServerName

MOST_SERVERS = 500
"""Servers with a label of their own while the bot runs; later ones share a label."""

OTHERS = "others"


class ServerLabels:
    """Gives each server a label that never changes. One without a name has its address as its id, so it gets a number.

    `configured` are the servers of the configuration, which may change.
    """

    def __init__(self) -> None:
        self._labels: dict[ServerName, str] = {}
        self._unnamed = 0

    def of(self, server: ServerName, configured: Mapping[ServerName, Server]) -> str:
        """The label of a server."""
        if (label := self._labels.get(server)) is not None:
            return label
        if len(self._labels) >= MOST_SERVERS:
            return OTHERS
        if server in configured and configured[server].name:
            label = str(server)
        else:
            self._unnamed += 1
            label = f"unnamed {self._unnamed}"
        self._labels[server] = label
        return label
