"""The sentences about servers that could not be started or stopped, for the people who run the bot."""

from __future__ import annotations

from typing import assert_never

from app.reasons.jobs import InternalError
from app.reasons.power import CommandFailed, CommandNotRun, CommandTooLong, NotAnswering, PowerReason, StillAnswering
from app.texts.wording import brief, message_text, quoted


def power_reason_text(reason: PowerReason) -> str:
    """Why a server could not be started or stopped, as a sentence."""
    match reason:
        case CommandNotRun(program=program, message=message):
            return f"{quoted(program)} cannot be run: {message_text(message)}"
        case CommandFailed(program=program, code=code, output=output):
            return f"{quoted(program)} ended with exit code {code}. {message_text(output)}".strip()
        case CommandTooLong(program=program, seconds=seconds):
            return f"{quoted(program)} had not ended after {seconds:.0f} seconds, and was killed."
        case NotAnswering(seconds=seconds):
            return f"The command worked, but ComfyUI does not answer after {seconds:.0f} seconds."
        case StillAnswering(seconds=seconds):
            return f"The command worked, but ComfyUI still answers after {seconds:.0f} seconds."
        case InternalError(id=identifier):
            return f"Something went wrong (id {brief(identifier)})."
        case _:
            assert_never(reason)
