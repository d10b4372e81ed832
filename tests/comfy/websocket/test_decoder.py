"""Frames into events, held against what a real ComfyUI sent."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.comfy.websocket.decoder import Decoder
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
    ServerEvent,
    Signal,
)
from tests.comfy import recorded

FLAGS = '{"type":"feature_flags","data":{"supports_preview_metadata":true}}'
EXECUTING = '{"type":"executing","data":{"node":"3","display_node":"3","prompt_id":"p"}}'
BARE_PICTURE = struct.pack(">II", 1, 1) + b"\xff\xd8"


def events(name: str, sock: str = "A") -> list[ServerEvent]:
    decoder = Decoder()
    fed = [decoder.decode(frame) for frame in recorded.frames(name, sock)]
    return [event for event in fed if event is not None]


def kinds(heard: list[ServerEvent]) -> list[type[ServerEvent]]:
    """The row of kinds, without the chatter of progress and queue."""
    noise = (QueueChanged, NodesProgressed, NodeStepped, ImageStreamed)
    return [type(event) for event in heard if not isinstance(event, noise)]


def error(message: object, kind: object = "RuntimeError") -> str:
    data = {"prompt_id": "p", "node_id": "2", "exception_message": message, "exception_type": kind}
    return msgspec.json.encode({"type": "execution_error", "data": data}).decode()


@pytest.mark.parametrize("name", recorded.names())
def test_every_recorded_text_is_understood_or_known_to_be_nothing_for_us(name: str) -> None:
    ours = {
        *("status", "execution_start", "execution_cached", "executing", "progress", "progress_state"),
        *("executed", "execution_error", "execution_interrupted"),
    }
    for sock in sorted({line.sock for line in recorded.lines(name) if line.sock}):
        decoder = Decoder()
        for frame in recorded.frames(name, sock):
            event = decoder.decode(frame)
            if isinstance(frame, str):
                read = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
                kind = msgspec.json.decode(read["type"], type=str)
                nameless = kind == "executing" and b"prompt_id" not in bytes(read["data"])
                assert (event is not None) == (kind in ours and not nameless), frame[:200]


def test_a_success_is_told_from_start_to_end() -> None:
    heard = events("02b_txt2img_full_preview_metadata")
    row = kinds(heard)
    assert row[:2] == [ExecutionStarted, NodesCached]
    assert row[-2:] == [NodeFinished, ExecutionEnded]
    assert row.count(NodeStarted) == 3
    prompts = {event.prompt for event in heard if isinstance(event, Signal)}
    assert len(prompts) == 1
    finished = next(event for event in heard if isinstance(event, NodeFinished))
    assert finished.output.files == (FileRef("t2i_00002_.png", "bot", "output"),)


def test_a_preview_is_cut_out_whole_behind_its_head() -> None:
    pictures = [event for event in events("02b_txt2img_full_preview_metadata") if isinstance(event, ImageStreamed)]
    assert len(pictures) == 4
    assert all(picture.image.startswith(b"\xff\xd8\xff\xe0") for picture in pictures)
    assert len(pictures[0].image) == 30258
    assert {(picture.display, picture.media_type) for picture in pictures} == {("3", "image/jpeg")}


def test_previews_without_metadata_belong_to_what_runs_on_a_server_that_knows_none() -> None:
    heard = events("02a_txt2img_full_legacy_preview")
    pictures = [event for event in heard if isinstance(event, ImageStreamed)]
    prompt = next(event.prompt for event in heard if isinstance(event, ExecutionStarted))
    assert {(picture.prompt, picture.display) for picture in pictures} == {(prompt, "3")}


def test_an_error_names_its_node_and_its_kind_and_the_end_follows() -> None:
    heard = events("06_raise")
    failed = next(event for event in heard if isinstance(event, ExecutionFailed))
    assert (failed.node, failed.message, failed.kind) == ("2", "boom from a node", "RuntimeError")
    assert kinds(heard)[-2:] == [ExecutionFailed, ExecutionEnded]


def test_running_out_of_memory_keeps_its_meaning() -> None:
    failed = next(event for event in events("06_oom") if isinstance(event, ExecutionFailed))
    assert (failed.kind, failed.message) == ("torch.OutOfMemoryError", "out of memory")
    cryptic = "Allocation on device 0\nThis error means you ran out of memory on your GPU.\n\nTIPS: …"
    failed = Decoder().decode(error(cryptic))
    assert isinstance(failed, ExecutionFailed)
    assert failed.message == "This error means you ran out of memory on your GPU."


def test_an_error_shows_one_line_and_no_paths() -> None:
    failed = Decoder().decode(error("\n[Errno 2] No such file: '/srv/comfy/input/cat.png'\nTraceback: …\n"))
    assert isinstance(failed, ExecutionFailed)
    assert failed.message == "[Errno 2] No such file: 'cat.png'"


def test_an_error_without_words_is_still_an_error() -> None:
    failed = Decoder().decode(error(None, None))
    assert isinstance(failed, ExecutionFailed)
    assert (failed.message, failed.kind) == ("", "")


def test_an_output_made_before_an_error_is_told() -> None:
    row = kinds(events("06_raise_after_output"))
    assert row.index(NodeFinished) < row.index(ExecutionFailed)


def test_an_interrupt_is_told_before_the_end() -> None:
    row = kinds(events("07_interrupt"))
    assert row[row.index(ExecutionInterrupted) + 1] is ExecutionEnded


@pytest.mark.parametrize("name", ["06_blocked", "06_blocked_silent"])
def test_a_block_is_no_failure(name: str) -> None:
    row = kinds(events(name))
    assert (ExecutionBlocked in row) == (name == "06_blocked")
    assert ExecutionFailed not in row
    assert row[-1] is ExecutionEnded


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


def test_what_is_re_sent_after_a_reconnect_names_no_prompt_and_says_nothing() -> None:
    heard = events("09_reconnect_same_client_id", "A2")
    named = [event for event in heard if isinstance(event, NodeStarted)]
    assert [event.node for event in named] == ["3"]
    assert heard[-1] == QueueChanged(remaining=0) or isinstance(heard[-1], ExecutionEnded)


def test_previews_after_a_reconnect_belong_to_whom_progress_names() -> None:
    heard = events("09_reconnect_same_client_id", "A2")
    pictures = [event for event in heard if isinstance(event, ImageStreamed)]
    prompt = next(event.prompt for event in heard if isinstance(event, ExecutionEnded))
    assert pictures
    assert {(picture.prompt, picture.display) for picture in pictures} == {(prompt, "2")}


@pytest.mark.parametrize("name", ["08_chatter", "23_crystools_like_chatter"])
def test_the_chatter_of_other_nodes_is_ignored_and_counted(name: str) -> None:
    decoder = Decoder()
    fed = [decoder.decode(frame) for frame in recorded.frames(name)]
    assert kinds([event for event in fed if event is not None])[-1] is ExecutionEnded
    assert decoder.ignored == fed.count(None) > 0


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        '{"type":"status"}',
        '{"type":"status","data":null}',
        '{"type":"status","data":[1]}',
        '{"type":"progress","data":{"value":NaN,"max":1,"prompt_id":"p","node":"1"}}',
        '{"type":"progress","data":{"value":1e999,"max":1,"prompt_id":"p","node":"1"}}',
        '{"type":"x","data":[1]}',
        "[" * 100_000,
        b"",
        b"\0\0\0\1",
        struct.pack(">II", 4, 1000) + b'{"node_id":',
        struct.pack(">II", 4, 2) + b"[]" + b"picture",
        struct.pack(">II", 4, 0xFFFFFFFF),
        struct.pack(">II", 3, 1) + b"2text",
        struct.pack(">II", 1, 1),
    ],
)
def test_junk_is_ignored(frame: str | bytes) -> None:
    assert Decoder().decode(frame) is None


def test_numbers_that_are_none_do_not_hide_a_result() -> None:
    frame = (
        '{"type":"executed","data":{"prompt_id":"p","node":"1","output":'
        '{"score":[NaN,-Infinity,123456789012345678901234567890],"images":[{"filename":"a.png"}]}}}'
    )
    heard = Decoder().decode(frame)
    assert isinstance(heard, NodeFinished)
    assert heard.output.files == (FileRef("a.png"),)


def test_without_metadata_a_picture_is_somebody_elses_once_metadata_was_agreed_on() -> None:
    decoder = Decoder()
    decoder.decode(EXECUTING)
    heard = decoder.decode(BARE_PICTURE)
    assert isinstance(heard, ImageStreamed)
    assert (heard.prompt, heard.display, heard.image) == (PromptId("p"), "3", b"\xff\xd8")
    decoder.decode(FLAGS)
    assert decoder.decode(BARE_PICTURE) is None


def test_a_picture_after_the_end_belongs_to_nobody() -> None:
    decoder = Decoder()
    decoder.decode(EXECUTING)
    decoder.decode('{"type":"executing","data":{"node":null,"prompt_id":"p"}}')
    assert decoder.decode(BARE_PICTURE) is None


KEYS = st.sampled_from(
    ["prompt_id", "node", "output", "images", "nodes", "status", "exec_info", "queue_remaining", "text", "value", "max"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("p"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
TYPES = st.sampled_from(["status", "executing", "executed", "progress", "progress_state", "execution_error", "x"])


@given(st.one_of(st.text(), st.binary()))
def test_no_frame_is_an_error(frame: str | bytes) -> None:
    Decoder().decode(frame)


@given(st.sampled_from([1, 3, 4]), st.integers(0, 2**32 - 1), st.binary())
def test_no_binary_frame_is_an_error(kind: int, second: int, payload: bytes) -> None:
    Decoder().decode(struct.pack(">II", kind, second) + payload)


@given(TYPES, JSON)
def test_no_frame_of_a_known_type_is_an_error(kind: str, data: object) -> None:
    Decoder().decode(msgspec.json.encode({"type": kind, "data": data}).decode())
