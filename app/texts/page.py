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

CONTINUE = "Continue"

DISCORD_AWAY = "Discord does not answer just now: wait a minute, and log in again."

LINK_CONTINUE = "This link logs you in, once. Continue only if you got it from the bot yourself."

LINK_OVER = "This link was used or is too old: type /page in Discord for a new one."

LOGIN_CANCELLED = "You did not let Discord say who you are: log in again, or type /page in Discord for a link."

LOGIN_OVER = "This login took too long or began in another browser: log in again."

LOGIN_REFUSED = "Discord did not accept this login: log in again."

LOGIN_WHY = "Discord tells the bot only who you are. You see what you can see in Discord."

LOGIN_WITH_DISCORD = "Log in with Discord"

LOGIN_BY_LINK = "Type /page in Discord, wherever the bot is. It answers with a link that logs you in."
