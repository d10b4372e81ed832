"""Why an engine cannot be used, and what to do, for whoever runs a command that needs it."""

from __future__ import annotations

from app.config.engine import EngineSettings
from app.reasons.servers import EngineAway, EngineRefuses, NetworkReason
from app.texts.reasons.servers import network_reason_text
from app.texts.wording import brief

WITHOUT_LIBRARY = "the engine needs a library that is not installed: run “pip install atelier-bot[engine]”."

LOGIN_WORDS = ("password", "authentication", "NOAUTH", "WRONGPASS")
"""What the engine's message has if it does not accept the login."""


def engine_loss_text(reason: NetworkReason, settings: EngineSettings) -> str:
    """The sentence for a reason for which the engine could not be used."""
    match reason:
        case EngineAway(message=message):
            return f"The engine {settings.address} cannot be reached ({brief(message)}): look whether it runs."
        case EngineRefuses(message=message) if any(word in message for word in LOGIN_WORDS):
            login = settings.username or "default"
            return (
                f"The engine {settings.address} does not accept the login {login}: set ATELIER_ENGINE_PASSWORD, and"
                " “username” in [engine]."
            )
        case _:
            return network_reason_text(reason, operator=True)
