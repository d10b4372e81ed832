"""The sentences of alerts: what is wrong and what to do, for the people who run the bot."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from app.core.alerts import Alert, Began, Ended, Repeated, Withheld
from app.reasons.alerts import (
    AlertReason,
    BackupFailed,
    DiskFull,
    JournalWaits,
    NoServer,
    ResultsGivenUp,
    ServerAway,
    ServerFails,
    ServerNotStarted,
    ServerNotStopped,
)
from app.texts.reasons.power import power_reason_text
from app.texts.reasons.servers import server_reason_text
from app.texts.wording import brief, duration_text, listed, message_text, path_text, sentence


def alert_text(alert: Alert) -> str:
    """An alert as one line of at most 600 characters."""
    match alert:
        case Began(reason=reason, times=times):
            return sentence(_wrong(reason, times))
        case Ended(reason=reason, seconds=seconds):
            return sentence(f"{_over(reason)} after {duration_text(seconds)}.")
        case Repeated(reason=ResultsGivenUp() as reason, times=times, at=at):
            return sentence(_wrong(reason, times, f" since {_clock(at)}"))
        case Repeated(reason=reason, times=times, at=at, lasts=lasts):
            often = "once more" if times == 1 else f"{times} times"
            return sentence(
                f"{_wrong(reason)} This happened {often} since {_clock(at)}, and {'lasts' if lasts else 'is over now'}."
            )
        case Withheld(count=count):
            alerts = "1 more alert is" if count == 1 else f"{count} more alerts are"
            return f"Read the log: {alerts} only there, because there were too many within an hour."
        case _:
            assert_never(alert)


def _wrong(reason: AlertReason, times: int = 1, since: str = "") -> str:
    match reason:
        case ServerAway(server=server, why=why):
            if why is None:
                return f"Start ComfyUI on {brief(server)}: it does not answer, and its jobs wait."
            return f"{brief(server)} is away, and its jobs wait. {server_reason_text(why)}"
        case NoServer(servers=servers):
            return f"Start ComfyUI on {listed(servers)}: no server answers, and every job waits."
        case ServerFails(server=server):
            return (
                f"Read the log of {brief(server)}: several jobs in a row failed there."
                " Other servers get its jobs now, and it is tried again with one job at a time."
            )
        case JournalWaits(why=why):
            return f"Nothing is accepted or reported. {message_text(why)}"
        case DiskFull(folder=folder):
            return f"Make room on the disk of {path_text(folder)}: it is full, and results wait for it."
        case ResultsGivenUp(server=server):
            results = "A result" if times == 1 else f"{times} results"
            advice = "Read the log of that server, then press Fetch again below the result."
            return f"{results} could not be downloaded from {brief(server)}{since}. {advice}"
        case ServerNotStarted(server=server, why=why):
            advice = f"Start {brief(server)} yourself, or correct its start_command: jobs need it."
            return f"{advice} {power_reason_text(why)}"
        case ServerNotStopped(server=server, why=why):
            return (
                f"Stop {brief(server)} yourself, or correct its stop_command: no job needs it, and it may be billed."
                f" {power_reason_text(why)}"
            )
        case BackupFailed(why=why):
            return f"The daily backup was not made. {message_text(why)}"
        case _:
            assert_never(reason)


def _over(reason: AlertReason) -> str:
    match reason:
        case ServerAway(server=server):
            return f"{brief(server)} is back"
        case NoServer():
            return "A server answers again"
        case ServerFails(server=server):
            return f"{brief(server)} works again"
        case JournalWaits():
            return "The journal can be used again"
        case DiskFull(folder=folder):
            return f"The disk of {path_text(folder)} has room again"
        case ResultsGivenUp(server=server):
            return f"Results of {brief(server)} arrive again"
        case ServerNotStarted(server=server):
            return f"{brief(server)} is on"
        case ServerNotStopped(server=server):
            return f"{brief(server)} is off"
        case BackupFailed():
            return "A backup was made again"
        case _:
            assert_never(reason)


def _clock(at: float) -> str:
    """The time of day, where the bot runs."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")
