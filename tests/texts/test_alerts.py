"""What an operator reads in an alert: what is wrong, and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.alerts import Alert, Began, Ended, Repeated, Withheld
from app.reasons import Reason
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
from app.reasons.jobs import InternalError
from app.reasons.power import CommandFailed, CommandNotRun, CommandTooLong, NotAnswering, StillAnswering
from app.reasons.servers import CredentialsRefused, RefusedConnection
from app.texts.alerts import alert_text
from app.texts.wording import LONGEST_SENTENCE, duration_text
from tests.texts.reasons import reasons_of

KINDS = cast("tuple[type[Reason], ...]", get_args(AlertReason))

HALF_PAST_TWELVE = datetime(2026, 11, 28, 12, 30).astimezone().timestamp()

FULL = "The disk of the journal data/atelier.db is full: make room."

SENTENCES: list[tuple[AlertReason, str, str]] = [
    (
        ServerAway("studio"),
        "Start ComfyUI on studio: it does not answer, and its jobs wait.",
        "studio is back after 5 minutes.",
    ),
    (
        ServerAway("studio", RefusedConnection()),
        ("studio is away, and its jobs wait. The server refuses the connection. Start ComfyUI, or check the port."),
        "studio is back after 5 minutes.",
    ),
    (
        ServerAway("studio", CredentialsRefused()),
        ("studio is away, and its jobs wait. The server refuses our credentials. Check its headers in atelier.toml."),
        "studio is back after 5 minutes.",
    ),
    (
        NoServer(("studio", "cellar")),
        "Start ComfyUI on studio, cellar: no server answers, and every job waits.",
        "A server answers again after 5 minutes.",
    ),
    (
        ServerFails("studio"),
        (
            "Read the log of studio: several jobs in a row failed there."
            " Other servers get its jobs now, and it is tried again with one job at a time."
        ),
        "studio works again after 5 minutes.",
    ),
    (
        JournalWaits(FULL),
        f"Nothing is accepted or reported. {FULL}",
        "The journal can be used again after 5 minutes.",
    ),
    (
        DiskFull("data/results"),
        "Make room on the disk of data/results: it is full, and results wait for it.",
        "The disk of data/results has room again after 5 minutes.",
    ),
    (
        ResultsGivenUp("studio"),
        (
            "A result could not be downloaded from studio."
            " Read the log of that server, then press Fetch again below the result."
        ),
        "Results of studio arrive again after 5 minutes.",
    ),
    (
        ServerNotStarted("cloud", CommandFailed("gcloud", 1, "quota exceeded")),
        (
            "Start cloud yourself, or correct its start_command: jobs need it."
            " “gcloud” ended with exit code 1. quota exceeded."
        ),
        "cloud is on after 5 minutes.",
    ),
    (
        ServerNotStarted("cloud", NotAnswering(300.0)),
        (
            "Start cloud yourself, or correct its start_command: jobs need it."
            " The command worked, but ComfyUI does not answer after 300 seconds."
        ),
        "cloud is on after 5 minutes.",
    ),
    *(
        (
            ServerNotStopped("cloud", why),
            "Stop cloud yourself, or correct its stop_command: no job needs it, and it may be billed. " + said,
            "cloud is off after 5 minutes.",
        )
        for why, said in (
            (CommandNotRun("ssh", "No such file or directory"), "“ssh” cannot be run: No such file or directory."),
            (CommandFailed("ssh", 255), "“ssh” ended with exit code 255."),
            (CommandTooLong("ssh", 300.0), "“ssh” had not ended after 300 seconds, and was killed."),
            (StillAnswering(300.0), "The command worked, but ComfyUI still answers after 300 seconds."),
            (InternalError("00c0ffee"), "Something went wrong (id 00c0ffee)."),
        )
    ),
    (
        BackupFailed("The disk of the backup folder /mnt/disk is full: make room, or name another folder."),
        (
            "The daily backup was not made."
            " The disk of the backup folder /mnt/disk is full: make room, or name another folder."
        ),
        "A backup was made again after 5 minutes.",
    ),
]
"""Each reason, what is said when it begins, and when it ends."""


@pytest.mark.parametrize(("reason", "begins", "ends"), SENTENCES)
def test_an_alert_says_what_is_wrong_and_what_to_do(reason: AlertReason, begins: str, ends: str) -> None:
    assert alert_text(Began(reason)) == begins
    assert alert_text(Ended(reason, 300)) == ends


def test_no_reason_is_forgotten() -> None:
    assert {type(reason) for reason, _, _ in SENTENCES} == set(KINDS)


def test_a_summary_says_how_often_and_whether_it_lasts() -> None:
    away = ServerAway("studio")
    wrong = alert_text(Began(away))
    summary = alert_text(Repeated(away, 14, HALF_PAST_TWELVE, lasts=False))
    assert summary == f"{wrong} This happened 14 times since 12:30, and is over now."
    summary = alert_text(Repeated(away, 2, HALF_PAST_TWELVE, lasts=True))
    assert summary == f"{wrong} This happened 2 times since 12:30, and lasts."
    summary = alert_text(Repeated(away, 1, HALF_PAST_TWELVE, lasts=False))
    assert summary == f"{wrong} This happened once more since 12:30, and is over now."


def test_results_are_counted() -> None:
    advice = "Read the log of that server, then press Fetch again below the result."
    lost = ResultsGivenUp("studio")
    assert alert_text(Began(lost, 6)) == f"6 results could not be downloaded from studio. {advice}"
    summary = alert_text(Repeated(lost, 14, HALF_PAST_TWELVE, lasts=False))
    assert summary == f"14 results could not be downloaded from studio since 12:30. {advice}"
    summary = alert_text(Repeated(lost, 1, HALF_PAST_TWELVE, lasts=False))
    assert summary == f"A result could not be downloaded from studio since 12:30. {advice}"


def test_alerts_that_were_not_sent_are_counted() -> None:
    cause = "because there were too many within an hour."
    assert alert_text(Withheld(1)) == f"Read the log: 1 more alert is only there, {cause}"
    assert alert_text(Withheld(3)) == f"Read the log: 3 more alerts are only there, {cause}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 seconds"),
        (1, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (200, "3 minutes"),
        (3599, "1 hour"),
        (3600, "1 hour"),
        (7000, "2 hours"),
        (48 * 3600, "2 days"),
        (1e9, "11574 days"),
    ],
)
def test_a_length_of_time_has_one_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), times=st.integers(1, 10**9), seconds=st.floats(0, 1e9), lasts=st.booleans())
def test_whatever_the_facts_are_an_alert_is_one_line_of_limited_length(
    kind: type[Reason], data: st.DataObject, times: int, seconds: float, lasts: bool
) -> None:
    reason = cast("AlertReason", data.draw(reasons_of(kind)))
    alerts: list[Alert] = [Began(reason, times), Ended(reason, seconds), Repeated(reason, times, seconds, lasts)]
    for alert in alerts:
        text = alert_text(alert)
        assert text.isprintable()
        assert 0 < len(text) <= LONGEST_SENTENCE
