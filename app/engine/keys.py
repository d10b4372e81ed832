"""The names of what is in the engine. Everything of a worker begins with `atelier:worker:NAME:`, and its login may use
nothing else."""

from __future__ import annotations

import re

PREFIX = "atelier:worker:"

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
"""A valid name of a worker, or the label of one of its servers: no capitals, because hosts of addresses have none, and
no character that has a meaning in a pattern of keys."""

ID = re.compile(r"[0-9a-f]{32}")
"""A valid id of a session, a front, a subscription or a transfer."""

LEASES = f"{PREFIX}*:lease"
"""The pattern of the keys of all leases."""


def lease_key(worker: str) -> str:
    """Holds the worker's registration for as long as its lease lasts."""
    return f"{PREFIX}{worker}:lease"


def refused_key(worker: str) -> str:
    """Exists for a while after a second worker wanted this name."""
    return f"{PREFIX}{worker}:refused"


def worker_of(key: str) -> str:
    """The worker whose lease has this key; "" if it is none."""
    name = key.removeprefix(PREFIX).removesuffix(":lease")
    return name if NAME.fullmatch(name) and lease_key(name) == key else ""


def requests_key(worker: str, session: str) -> str:
    """The stream of the requests to one session of a worker."""
    return f"{PREFIX}{worker}:requests:{session}"


def replies_key(worker: str, front: str) -> str:
    """The stream of a worker's replies to one front."""
    return f"{PREFIX}{worker}:replies:{front}"


def events_key(worker: str, subscription: str) -> str:
    """The stream of what one websocket of a worker receives."""
    return f"{PREFIX}{worker}:events:{subscription}"


def chunk_key(worker: str, transfer: str, number: int) -> str:
    """One chunk of a file on its way."""
    return f"{PREFIX}{worker}:chunk:{transfer}:{number}"


def wake_key(front: str) -> str:
    """The stream by which a front wakes its own reader."""
    return f"atelier:front:{front}:wake"
