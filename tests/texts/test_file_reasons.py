"""What people read about a file that they attached, or that the bot posts."""

from __future__ import annotations

from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reasons import Reason
from app.reasons.files import (
    DiskFailed,
    FileAnimated,
    FileReason,
    FileUnrecognised,
    FileUnusable,
    MediaReason,
    ResultDeleted,
    ResultNotPrepared,
    ResultReduced,
    ResultTooLargeToPost,
    TooManyBytes,
    TooManyFrames,
    TooManyPixels,
    WorkerDied,
    WorkerUnavailable,
)
from app.texts.reasons.files import NAMES
from app.texts.reasons.text import reason_text
from tests.texts.reasons import MEDIA, reasons_of

LONGEST = 300

OF_PICTURES = (FileAnimated, TooManyPixels)
OF_THE_BOT = (DiskFailed, WorkerUnavailable)

SENTENCES: list[tuple[MediaReason, str]] = [
    (
        FileUnusable("audio", FileUnrecognised()),
        "Attach an MP3, WAV, FLAC or Ogg: this is not a sound that can be used.",
    ),
    (FileUnusable("image", TooManyBytes(64 * 2**20)), "Make the picture smaller: at most 64 MB are possible."),
    (
        FileUnusable("video", TooManyBytes(64 * 2**20, 70 * 2**20)),
        "Make the video smaller: at most 64 MB are possible, and this one has 70 MB.",
    ),
    (
        FileUnusable("image", TooManyPixels(40_000_000)),
        "Make the picture smaller: a picture may have at most 40 million pixels.",
    ),
    (
        FileUnusable("image", TooManyPixels(18_000_000, "WEBP")),
        "Make the picture smaller: a WEBP may have at most 18 million pixels, or save it as a plain PNG.",
    ),
    (FileUnusable("video", TooManyFrames(300)), "Make the video shorter: at most 300 frames are possible."),
    (
        FileUnusable("image", WorkerDied()),
        "Save the picture again, and attach that: it is damaged or incomplete.",
    ),
    (ResultReduced(80, 0.5), "Shown at 50% of its size because of Discord's limit. The original is kept."),
    (ResultReduced(80, 1.0), "Shown at 80 % quality because of Discord's limit. The original is kept."),
    (ResultReduced(0, 1.0), "Shown at lower quality because of Discord's limit. The original is kept."),
    (
        ResultTooLargeToPost(400_000),
        "A file of 0.4 MB is too large for Discord here. The people who run this bot have it.",
    ),
    (ResultNotPrepared(), "A file could not be prepared for Discord. The people who run this bot have it."),
    (ResultDeleted(), "A file was deleted and cannot be shown."),
]


@pytest.mark.parametrize(("reason", "sentence"), SENTENCES)
def test_a_reason_says_what_to_do(reason: MediaReason, sentence: str) -> None:
    assert reason_text(reason) == sentence


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("cause", cast("tuple[type[Reason], ...]", get_args(FileReason)))
@given(data=st.data())
def test_every_reason_is_one_short_sentence_about_the_persons_file(
    cause: type[Reason], kind: str, data: st.DataObject
) -> None:
    reason = cast("FileReason", data.draw(reasons_of(cause)))
    text = reason_text(FileUnusable(kind, reason))
    assert text.isprintable()
    assert len(text) <= LONGEST
    assert NAMES[kind] in text or isinstance(reason, (*OF_PICTURES, *OF_THE_BOT))


@pytest.mark.parametrize("kind", MEDIA)
@given(data=st.data())
def test_whatever_the_facts_are_the_sentence_is_one_line_of_limited_length(
    kind: type[Reason], data: st.DataObject
) -> None:
    text = reason_text(data.draw(reasons_of(kind)))
    assert text.isprintable()
    assert 0 < len(text) <= LONGEST
