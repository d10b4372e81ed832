"""Short answers to commands, buttons and forms."""

from __future__ import annotations

OUT_OF_DATE = "This is out of date. Start again with a command."
COMMAND_OUT_OF_DATE = "This command is out of date. Type / to see the current ones."
FORM_OUT_OF_DATE = "This form is out of date. Start again with the command."
FORM_UNREADABLE = "This form arrived damaged. Open it again."
BUSY = "The bot is busy. Try again in a moment."
NO_SUCH_JOB = "None of your jobs has this name. See /jobs."
NOTHING_IN_QUEUE = "You have nothing in the queue."
ALREADY_ENDED = "This has already ended."
STILL_RUNNING = "This is still being made. See /jobs."
NOT_DELETED = "The files are deleted, but I cannot delete the message here. Ask a moderator."
NOTHING_SAVED_THERE = "You have no saved settings there. See /settings."
OFFLINE = "Waiting for the image server"
"""The bot's presence while no server answers."""

FAREWELL = "I'm restarting. Your result is safe and will appear here."
NOT_TAKEN = "I'm restarting and did not take this. Ask again in a moment."
NOT_TAKEN_BEFORE = "The bot stopped before it took this. Ask again."
"""What a live message says when the bot stops; the second is for a job that the journal may not have yet,
and the third is what the next bot says if this one could not."""
NOT_ANSWERED = "Something went wrong between Discord and the bot, and nothing was started. Ask again."
"""What somebody reads later whose request could not be answered at first."""


def not_offered(workflow: str) -> str:
    """The answer to a command whose workflow is gone."""
    return f"“{workflow}” is not offered here any more."


def no_file(kind: str) -> str:
    """The answer to a message menu on a message without a usable file of this kind ("picture", "video", "sound")."""
    return f"There is no {kind} in this message that can be used."


def cancelling(job: str) -> str:
    """The answer to /cancel."""
    return f"Cancelling {job}."


def you_wrote(typed: str) -> str:
    """What a person typed, to be copied after a refusal."""
    return f"You wrote:\n>>> {typed}"
