"""Where the program's own files are: it runs from a checkout of its repository, or was installed as a package."""

from __future__ import annotations

from pathlib import Path

APP = Path(__file__).resolve().parents[1]
"""The folder of the package `app`."""

PACKAGED = "included_workflows"
"""The folder inside `app` in which an installed package has the workflows; a checkout has them beside `app`."""

PROJECT = 'name = "atelier-bot"'
"""A line of pyproject.toml by which a checkout is recognised."""


def included_workflows(app: Path = APP) -> Path:
    """Return the folder of the workflows that come with the program."""
    packaged = app / PACKAGED
    return packaged if packaged.is_dir() else app.parent / "workflows"


def default_data(checkout: Path = APP.parent) -> Path:
    """The data folder without any setting: `data` in the checkout, elsewhere the system's folder for data of programs.

    It does not depend on the current folder: a bot that is started from another one must find its journal.
    """
    try:
        is_checkout = PROJECT in (checkout / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        is_checkout = False
    if is_checkout:
        return checkout / "data"
    # Imported only here: in a checkout nobody needs it.
    from platformdirs import user_data_path

    return user_data_path("atelier", appauthor=False)
