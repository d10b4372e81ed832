"""What people read about a job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reasons import Reason
from app.reasons.jobs import (
    BatchIncomplete,
    CancelUnconfirmed,
    ForgottenByServer,
    HistoryUnreadable,
    HoursUsedUp,
    InputUnreadable,
    InternalError,
    JobReason,
    NeverKept,
    NodeBlocked,
    NodeFailed,
    NoProgress,
    NoRoom,
    NothingChanged,
    NothingProduced,
    OutOfMemory,
    PaidRunLost,
    PictureMissed,
    PromptIdRepeated,
    ResultNotFetched,
    ResultsMissing,
    ResultUnwritable,
    SentAgain,
    ServersDrained,
    ServersOff,
    ServersOffline,
    ServersStarting,
    StoppedOnServer,
    TimeLimitReached,
    TooManyResults,
    kind_of,
)
from app.reasons.servers import RefusedConnection, ServerError
from app.texts.reasons.text import reason_text
from tests.texts.reasons import KINDS, REFUSALS, reasons_of

OWN = tuple(kind for kind in KINDS if kind not in REFUSALS)
"""The reasons that are not those of servers."""

LONGEST = 500
"""Characters of any of these sentences."""

HERE = "http://10.0.0.7:8188"

SENTENCES: list[tuple[JobReason, str, str]] = [
    (
        ServersOffline((HERE, "b")),
        "The image server is offline. Your place is kept.",
        f"Waiting for {HERE} and b to answer.",
    ),
    (
        ServersDrained((HERE, "b")),
        "The image server takes no new jobs for now. Your place is kept.",
        f"Waiting until {HERE} or b is resumed (servers resume NAME).",
    ),
    (ServersStarting((HERE,)), "The image server is being started.", f"Waiting for {HERE} to start."),
    (
        ServersOff((HERE, "b")),
        "The image server is off, and will be started soon. Your place is kept.",
        f"Waiting until {HERE} or b is started, which the bot does.",
    ),
    (
        NoRoom(),
        "There is no room for results at the moment. Your place is kept.",
        "Waiting until the disk for the results has room.",
    ),
    (
        HoursUsedUp((HERE,)),
        "The image server has worked enough for today, and starts again later. Your place is kept.",
        f"Waiting until {HERE} may be on again: see “most_hours_per_day” in atelier.toml.",
    ),
    (SentAgain(), "The server forgot this job, so it is sent again.", ""),
    (
        NoProgress(HERE, 60.0),
        "Still running, but without any progress for 60 s.",
        f"Still running on {HERE}, but without any progress for 60 s.",
    ),
    (
        NoProgress(HERE, 660.0, stuck=True),
        "Still running, but without any progress for 660 s. It may be stuck: you can cancel it.",
        f"Still running on {HERE}, but without any progress for 660 s. It may be stuck: you can cancel it.",
    ),
    (NodeFailed("Sampler", "bad size in nodes.py", "ValueError"), "“Sampler” failed: bad size in nodes.py.", ""),
    (NodeFailed("Sampler", "", "ValueError"), "“Sampler” failed, and does not say why.", ""),
    (NodeFailed("", "no memory!"), "The server failed: no memory!", ""),
    (
        OutOfMemory("Sampler"),
        "The server ran out of memory. Choose a smaller size or fewer pictures.",
        "The server ran out of memory at “Sampler”. Choose a smaller size or fewer pictures.",
    ),
    (HistoryUnreadable(), "The server's record of this job cannot be read.", ""),
    (
        InputUnreadable("No such file or directory"),
        "A file of this job can no longer be read.",
        "A file of this job can no longer be read. (No such file or directory)",
    ),
    (InternalError("00c0ffee"), "Something went wrong (id 00c0ffee).", ""),
    (StoppedOnServer(), "Somebody stopped it on the server.", ""),
    (TimeLimitReached(1.5), "The time limit of 1.5 s (--timeout) was reached.", ""),
    (CancelUnconfirmed(), "The server did not confirm it, and may still run it.", ""),
    (
        CancelUnconfirmed(TimeLimitReached(2)),
        "The time limit of 2 s (--timeout) was reached. The server did not confirm it, and may still run it.",
        "",
    ),
    (
        ForgottenByServer(HERE, 2),
        "The server forgot it 2 times while working on it.",
        f"{HERE} forgot it 2 times while working on it.",
    ),
    (
        PaidRunLost(HERE),
        "The server lost track of it, and it may have been paid for. Press Retry to pay for another run.",
        f"{HERE} lost track of it, and it may have been paid for. Press Retry to pay for another run.",
    ),
    (NodeBlocked("Save"), "“Save” was blocked, so what depends on it did not run.", ""),
    (PictureMissed(), "Run it again: a picture that the server sends only once was lost.", ""),
    (NothingProduced(), "The workflow finished, but made no file and no text.", ""),
    (NothingChanged(), "Nothing changed since an earlier run, so this is the same result.", ""),
    (
        ResultUnwritable("No space left on device"),
        "A result could not be saved on the bot's disk.",
        "A result could not be saved on the bot's disk. (No space left on device)",
    ),
    (
        ResultUnwritable("No space left on device", "a.png"),
        "A result could not be saved on the bot's disk.",
        "A result (a.png) could not be saved on the bot's disk. (No space left on device)",
    ),
    (NeverKept(20), "It was sent 20 times, and no server kept it. Try again later.", ""),
    (
        PromptIdRepeated(HERE),
        "The server gave it the id of another job, so it cannot be followed. The server needs an update.",
        f"{HERE} gave it the id of another job, so it cannot be followed. The server needs an update.",
    ),
    (
        ResultNotFetched("a.png", ServerError(500)),
        "A result (a.png) could not be downloaded from the server.",
        (
            "A result (a.png) could not be downloaded from the server."
            " The server failed on this request (500). Its log says why."
        ),
    ),
    (
        ResultNotFetched("a.png", RefusedConnection()),
        "A result (a.png) could not be downloaded from the server.",
        (
            "A result (a.png) could not be downloaded from the server."
            " The server refuses the connection. Start ComfyUI, or check the port."
        ),
    ),
    (ResultsMissing(3, 4), "3 of 4 results arrived. The others are still on the server.", ""),
    (BatchIncomplete(3, 4), "3 of 4 pictures were made.", ""),
    (BatchIncomplete(3, 4, cancelled=True), "3 of 4 pictures were made; the others were cancelled.", ""),
    (TooManyResults(20_000, 200), "The workflow made 20000 files; these are the first 200.", ""),
]
"""Each reason, what people read, and what an operator reads if that is something else."""


@pytest.mark.parametrize(("reason", "people", "operator"), SENTENCES)
def test_people_and_operators_read_one_sentence(reason: JobReason, people: str, operator: str) -> None:
    assert reason_text(reason) == people
    assert reason_text(reason, operator=True) == (operator or people)


@pytest.mark.parametrize("kind", OWN)
@given(data=st.data())
def test_whatever_the_facts_are_the_sentence_is_one_line_of_limited_length(
    kind: type[Reason], data: st.DataObject
) -> None:
    reason = data.draw(reasons_of(kind))
    for operator in (False, True):
        text = reason_text(reason, operator=operator)
        assert text.isprintable()
        assert 0 < len(text) <= LONGEST


@pytest.mark.parametrize(
    "kind",
    [
        ServersOffline,
        ServersDrained,
        ServersOff,
        ServersStarting,
        HoursUsedUp,
        NoProgress,
        ForgottenByServer,
        PaidRunLost,
    ],
)
@given(data=st.data())
def test_people_never_read_which_server_it_was(kind: type[Reason], data: st.DataObject) -> None:
    reason = data.draw(reasons_of(kind, st.just(HERE)))
    assert HERE not in reason_text(reason)


@given(st.text())
def test_a_text_of_an_earlier_version_stays_as_it_was(text: str) -> None:
    assert reason_text(text) == text
    assert reason_text(text, operator=True) == text


def test_a_reason_of_no_group_has_no_sentence() -> None:
    class Stray(Reason, frozen=True):
        pass

    with pytest.raises(TypeError, match="Stray has no sentence"):
        reason_text(Stray())


def test_the_kinds_that_are_stored_never_change() -> None:
    assert [kind_of(reason) for reason, _, _ in SENTENCES] == [type(reason).__name__ for reason, _, _ in SENTENCES]
    assert {type(reason) for reason, _, _ in SENTENCES} == set(OWN), "a kind is missing above"
