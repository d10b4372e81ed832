"""The sentences about what an unfinished job waits for, for an operator."""

from __future__ import annotations

from typing import assert_never

from app.reasons.waits import (
    LeftAtServer,
    NoServerListed,
    NotShown,
    ServerRemoved,
    WaitReason,
    WaitsForResults,
    WaitsForResume,
    WaitsForServers,
)
from app.texts.wording import brief, listed, sentence, shortened


def wait_text(reason: WaitReason) -> str:
    """The sentence for what a job waits for: one line of at most 600 characters."""
    return sentence(_text(reason))


def _text(reason: WaitReason) -> str:
    match reason:
        case WaitsForServers(servers=(server,)):
            return f"Start ComfyUI on {brief(server)}: it does not answer."
        case WaitsForServers(servers=servers):
            return f"Start ComfyUI on one of {listed(servers)}: none answers."
        case WaitsForResume(servers=(server,)):
            return f"Run “servers resume {brief(server)}”: it takes no new jobs."
        case WaitsForResume(servers=servers):
            return f"Run “servers resume” with one of {listed(servers)}: none takes new jobs."
        case ServerRemoved(server=server):
            return f"Restart the bot: {brief(server)} has the job and is no longer configured."
        case NoServerListed(servers=servers):
            return f"Configure {' or '.join(map(shortened, servers[:3]))}: no other server is known to run it."
        case WaitsForResults(server=server, missing=missing, away=away):
            results = "1 result is" if missing == 1 else f"{missing} results are"
            if away:
                return f"Start ComfyUI on {brief(server)}: {results} there, and it does not answer."
            return f"Read the log of {brief(server)}: {results} still there."
        case LeftAtServer(server=server):
            return f"Start ComfyUI on {brief(server)}, or remove it and restart the bot: it may still have the job."
        case NotShown():
            return "Read the bot's log: the end of the job is not shown to its owner yet."
        case _:
            assert_never(reason)
