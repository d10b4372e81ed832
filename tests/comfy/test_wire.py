"""Frames into events, held against what a real ComfyUI sent."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.comfy.wire import Decoder
from app.events import (
    ExecutionBlocked,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionInterrupted,
    ExecutionStarted,
    FileRef,
    ImageStreamed,
    NodeFinished,
    NodesCached,
    NodesProgressed,
    NodeStarted,
    NodeStepped,
    PromptId,
    QueueChanged,
    Signal,
    Spoken,
)
from tests import transcripts


def events(name: str, sock: str = "A") -> list[Spoken]:
    decoder = Decoder()
    fed = [decoder.feed(frame) for frame in transcripts.frames(name, sock)]
    return [event for event in fed if event is not None]


def kinds(heard: list[Spoken]) -> list[type[Spoken]]:
    """The row of kinds, without the chatter of progress and queue."""
    noise = (QueueChanged, NodesProgressed, NodeStepped, ImageStreamed)
    return [type(event) for event in heard if not isinstance(event, noise)]


@pytest.mark.parametrize("name", transcripts.names())
def test_every_recorded_frame_is_understood_or_ignored(name: str) -> None:
    decoder = Decoder()
    for sock in sorted({line.sock for line in transcripts.read(name)}):
        for frame in transcripts.frames(name, sock):
            decoder.feed(frame)


def test_a_success_is_told_from_start_to_end() -> None:
    heard = events("02b_txt2img_full_preview_metadata")
    row = kinds(heard)
    assert row[:2] == [ExecutionStarted, NodesCached]
    assert row[-2:] == [NodeFinished, ExecutionEnded]
    assert row.count(NodeStarted) == 3
    prompts = {event.prompt for event in heard if isinstance(event, Signal)}
    assert len(prompts) == 1
    assert sum(isinstance(event, ImageStreamed) for event in heard) == 4
    finished = next(event for event in heard if isinstance(event, NodeFinished))
    assert finished.output.files == (FileRef("t2i_00002_.png", "bot", "output"),)


def test_previews_without_metadata_belong_to_what_runs_on_a_server_that_knows_none() -> None:
    heard = events("02a_txt2img_full_legacy_preview")
    pictures = [event for event in heard if isinstance(event, ImageStreamed)]
    prompt = next(event.prompt for event in heard if isinstance(event, ExecutionStarted))
    assert pictures
    assert {(picture.prompt, picture.display) for picture in pictures} == {(prompt, "3")}


def test_an_error_names_its_node_and_its_kind() -> None:
    failed = next(event for event in events("06_raise") if isinstance(event, ExecutionFailed))
    assert (failed.node, failed.message, failed.kind) == ("2", "boom from a node", "RuntimeError")
    out_of_memory = next(event for event in events("06_oom") if isinstance(event, ExecutionFailed))
    assert out_of_memory.kind == "torch.OutOfMemoryError"
    assert isinstance(events("06_raise")[-1], ExecutionEnded)


def test_an_interrupt_is_told_before_the_end() -> None:
    row = kinds(events("07_interrupt"))
    assert row[row.index(ExecutionInterrupted) + 1] is ExecutionEnded


def test_a_block_is_no_failure() -> None:
    row = kinds(events("06_blocked"))
    assert ExecutionBlocked in row
    assert ExecutionFailed not in row


def test_a_fully_cached_run_shows_its_old_files_without_running_a_node() -> None:
    heard = events("08_fully_cached_second_run")
    second = [event for event in heard if isinstance(event, NodesCached)][1]
    row = [event for event in heard if isinstance(event, Signal) and event.prompt == second.prompt]
    assert len(second.nodes) == 6
    assert not any(isinstance(event, NodeStarted) for event in row)
    assert sum(isinstance(event, NodeFinished) for event in row) == 2


def test_nodes_of_an_expansion_name_the_node_they_belong_to() -> None:
    started = [event for event in events("08_expand") if isinstance(event, NodeStarted)]
    assert [(event.node, event.display) for event in started if "." in event.node] == [
        ("2.0.0.1", "2"),
        ("2.0.0.2", "2"),
    ]


def test_ids_with_a_colon_stay_strings() -> None:
    assert any(":" in event.node for event in events("08_colon_ids") if isinstance(event, NodeStarted))


def test_what_is_re_sent_after_a_reconnect_without_a_prompt_says_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed('{"type":"executing","data":{"node":"2"}}') is None


def test_the_chatter_of_other_nodes_is_ignored() -> None:
    for name in ("08_chatter", "23_crystools_like_chatter"):
        assert kinds(events(name))[-1] is ExecutionEnded


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        '{"type":"status"}',
        '{"type":"status","data":null}',
        '{"type":"x","data":[1]}',
        b"",
        b"\0\0\0\1",
    ],
)
def test_junk_is_ignored(frame: str | bytes) -> None:
    assert Decoder().feed(frame) is None


def test_a_picture_whose_head_is_cut_is_ignored() -> None:
    assert Decoder().feed(struct.pack(">II", 4, 1000) + b'{"node_id":') is None


def test_without_metadata_a_picture_is_somebody_elses_once_metadata_was_agreed_on() -> None:
    decoder = Decoder()
    decoder.feed('{"type":"executing","data":{"node":"3","display_node":"3","prompt_id":"p"}}')
    picture = struct.pack(">II", 1, 1) + b"\xff\xd8"
    heard = decoder.feed(picture)
    assert isinstance(heard, ImageStreamed)
    assert (heard.prompt, heard.display, heard.image) == (PromptId("p"), "3", b"\xff\xd8")
    decoder.feed('{"type":"feature_flags","data":{"supports_preview_metadata":true}}')
    assert decoder.feed(picture) is None


@given(st.one_of(st.text(), st.binary()))
def test_no_frame_is_an_error(frame: str | bytes) -> None:
    Decoder().feed(frame)
