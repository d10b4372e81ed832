"""The logins of workers in the engine: each may use the keys of its worker and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from app.engine.keys import PREFIX

COMMANDS = "-@all +@connection +@read +@write -@scripting -@dangerous +eval +time -scan -randomkey -dbsize"
"""What a worker may do with its keys. A script may do no more than whoever runs it."""


def keys_of(worker: str) -> str:
    """The rule for the keys of a worker."""
    return f"~{PREFIX}{worker}:*"


def rules_of(worker: str, password: str) -> Sequence[str]:
    """The rules of a worker's login. The engine gets only the hash of its password."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return ("on", f"#{digest}", "resetkeys", keys_of(worker), "resetchannels", *COMMANDS.split())


def read_logins(lines: Sequence[str]) -> Mapping[str, bool]:
    """The names in an answer to ACL LIST, and whether each is a worker's own login."""
    logins: dict[str, bool] = {}
    for line in lines:
        match line.split():
            case ["user", name, *rules]:
                logins[name] = [rule for rule in rules if rule.startswith(("~", "%", "allkeys", "("))] == [
                    keys_of(name)
                ]
            case _:
                pass
    return logins
