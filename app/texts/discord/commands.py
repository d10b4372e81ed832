"""What people read about commands, their options, and forms."""

from __future__ import annotations

from app.workflows.task import Task

BUILT_IN = {
    "jobs": "List your jobs, with a link to each",
    "queue": "Show what is being made and what is waiting",
    "cancel": "Cancel one of your jobs (default: the latest)",
    "show": "Show one of your results again",
    "usage": "Show how much you can still ask for here",
    "models": "List the models that you can choose",
    "settings": "Choose how you are notified; show or reset your saved settings",
    "status": "Show the state of the bot and its servers",
    "page": "Open the gallery",
    "help": "Show what you can do here",
}
"""The descriptions of the bot's own commands."""

PAGE = "page"
"""The one of them that is only there if there is a page."""

TASKS: dict[Task, str] = {
    "imagine": "Create pictures from a description",
    "edit": "Change a picture as you describe",
    "animate": "Make a video from a picture",
    "upscale": "Make a picture larger",
    "describe": "Describe a picture in words",
}
"""The descriptions of the commands that offer all models of a task."""

TASK_OPTIONS = {
    "prompt": "What you want to see",
    "image": "The picture to start from",
    "image2": "Another picture, for models that take two",
    "image3": "A third picture, for models that take three",
    "mask": "White where the picture may change, for models that take a mask",
    "model": "The model to use (default: the first one)",
    "format": "Width to height (default: the model's own)",
    "count": "The number of pictures (default: 4 where a picture is made soon)",
    "negative": "What to keep out of the picture",
    "seed": "Use the same seed and settings to get the same picture (default: random)",
    "factor": "How many times as large",
    "preset": "A style or a set of settings",
}
"""The descriptions of their options."""

TASK_PROMPTS: dict[Task, str] = {
    "imagine": "What the picture should show",
    "edit": "What to change",
    "animate": "What should happen in the video",
    "describe": "What you want to know about the picture",
}
"""The descriptions of the prompt."""

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


def which_result(count: int) -> str:
    """The label of the field that asks which of several results to use."""
    return f"Which result, 1 to {count}"
