"""What people in Discord call each server: the name that the operator gave it, never its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from app.events import ServerName

UNNAMED = "the image server"
"""A server without a name, and one that is no longer configured."""


def public_names(names: Mapping[ServerName, str]) -> dict[ServerName, str]:
    """The public name of each server. `names` maps each to the name in the configuration, "" if it has none."""
    unnamed = [server for server, name in names.items() if not name]
    if len(unnamed) == 1:
        return {server: name or UNNAMED for server, name in names.items()}
    return {server: name or f"image server {unnamed.index(server) + 1}" for server, name in names.items()}


class PublicNames(Mapping[ServerName, str]):
    """The public name of each server that is configured now. `names` returns what `public_names` takes."""

    def __init__(self, names: Callable[[], Mapping[ServerName, str]]) -> None:
        self._names = names

    def __getitem__(self, server: ServerName) -> str:
        return public_names(self._names())[server]

    def __iter__(self) -> Iterator[ServerName]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())
