"""What people read about commands, their options, and forms."""

from __future__ import annotations

BUILT_IN = {
    "jobs": "List your jobs, with a link to each",
    "queue": "Show what is being made and what is waiting",
    "cancel": "Cancel one of your jobs (default: the latest)",
    "show": "Show one of your results again",
    "usage": "Show how much you can still ask for here",
    "models": "List the models that you can choose",
    "settings": "Choose how you are notified; show or reset your saved settings",
    "status": "Show the state of the bot and its servers",
    "help": "Show what you can do here",
}
"""The descriptions of the bot's own commands."""

MODERATOR = {
    "limits": "Show or set the limits of this server (for moderators)",
    "ban": "Stop a person or role from making things on this server (for moderators)",
    "unban": "End a ban on this server (for moderators)",
}
"""The descriptions of the commands of moderators."""

LIMIT_JOBS = "Unfinished jobs of each person at once (0: no limit of yours)"
LIMIT_SECONDS = "GPU seconds of each person within 24 hours (0: no limit of yours)"
BAN_WHO = "The person or role to ban"
BAN_REASON = "What they read when they try"
BAN_DAYS = "Days until the ban ends (default: never)"
UNBAN_WHO = "The person or role whose ban ends"
"""The descriptions of their options."""

CANCEL_JOB = "The job to cancel (default: the latest)"
SHOW_JOB = "The job to show"
RESET_WORKFLOW = "The workflow whose settings to reset"
PRESET = "A set of settings; what you set yourself has priority"
SPOILER = "Hide the result until it is clicked"
"""The descriptions of options."""

FORM_SETTINGS = "Settings, one per line (empty: default)"
"""The label of a form's field for settings."""


def which_result(count: int) -> str:
    """The label of the field that asks which of several results to use."""
    return f"Which result, 1 to {count}"
