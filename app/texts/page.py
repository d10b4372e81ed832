"""Every sentence and label of the web page. Templates get this module as `texts`."""

from __future__ import annotations

# The frame of every page.

NAME = "Atelier"

GALLERY = "Gallery"

QUEUE = "Queue"

SEARCH = "Search prompts"

SKIP = "Skip to the content"

LOG_IN = "Log in"

LOG_OUT = "Log out"

YOU = "You"

# Refusals.

FORM_NOT_OURS = "This form is out of date: go back, load the page again, and send it once more."

LOGGED_OUT = "You are logged out: load the page again to log in."

NOT_UNDERSTOOD = "This request makes no sense to the page: go back and try again."

NO_SUCH_PAGE = "There is no such page: go to the gallery."

STARTING = "The bot is starting: load the page again in a moment."

TOO_LARGE = "What you sent is too large: shorten it."

TOO_MANY = "You ask for too much at once: wait a minute, and load the page again."

# The login.

LOGIN = "Log in to Atelier"

LOGIN_BY_LINK = "Type /page in Discord, wherever the bot is. It answers with a link that logs you in."
