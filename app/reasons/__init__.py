"""The base of every reason: a refusal or failure as data, which `app.texts` turns into a sentence."""

from msgspec import Struct


class Reason(Struct, frozen=True, tag=True):
    """Why something was refused or went wrong."""
