"""What nodes show, and in which disguises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.comfy.outputs import scan
from app.comfy.websocket.decoder import Decoder
from app.core.jobs.results import first_line
from app.events import FileRef, NodeFinished, NodeOutput
from app.ports import Json
from tests.comfy import recorded


def outputs_of(name: str) -> list[NodeOutput]:
    decoder = Decoder()
    heard = [decoder.decode(frame) for frame in recorded.frames(name)]
    return [event.output for event in heard if isinstance(event, NodeFinished)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("04_vhs_gifs", [FileRef("vhs_00001.webp", "bot")]),
        ("04_video_mp4", [FileRef("vid_00001_.mp4", "bot")]),
        ("04_animated_webp", [FileRef("anim_00001_.webp", "bot")]),
        ("04_latent_file", [FileRef("lat_00001_.latent", "bot")]),
    ],
)
def test_files_are_found_under_every_key(name: str, expected: list[FileRef]) -> None:
    files = [file for output in outputs_of(name) for file in output.files]
    assert [file.filename.rpartition(".")[2] for file in files] == [
        file.filename.rpartition(".")[2] for file in expected
    ]
    assert {file.subfolder for file in files} == {"bot"}


def test_temporary_files_keep_their_type() -> None:
    kinds = [file.type for output in outputs_of("04_audio") for file in output.files]
    assert sorted(kinds) == ["output", "output", "temp"]


def test_texts_are_found() -> None:
    assert [output.texts for output in outputs_of("04_text")] == [("hello from ComfyUI",)]


def test_odd_things_are_tolerated_and_left_alone() -> None:
    (odd,) = outputs_of("04_odd_output")
    assert odd.texts == ("hello", "world")
    assert odd.files == (
        FileRef("does_not_exist.png"),
        FileRef("no_type.png"),
        FileRef("../../etc/passwd", ".."),
    )


def test_numbers_are_texts_and_a_lone_text_needs_no_list() -> None:
    assert scan("1", {"text": [1, 2.5, None, True, {"a": 1}]}).texts == ("1", "2.5")
    assert scan("1", {"text": "alone"}).texts == ("alone",)


def test_three_dimensional_files_come_as_bare_names() -> None:
    assert scan("1", {"3d": ["meshes/a.glb"]}).files == (FileRef("a.glb", "meshes"),)
    assert scan("1", {"result": ["b.obj", None, "a sentence", "/etc/passwd.d", "c:\\x.obj"]}).files == (
        FileRef("b.obj"),
    )


def test_a_file_under_two_keys_is_one_file() -> None:
    entry: dict[str, Json] = {"filename": "a.png", "subfolder": "", "type": "output"}
    assert scan("1", {"images": [entry], "gifs": [dict(entry)]}).files == (FileRef("a.png"),)


@pytest.mark.parametrize(
    "output", [None, [], "text", 3, {"images": None}, {"images": [{"filename": 3}, {"filename": ""}]}]
)
def test_no_files_are_no_error(output: Json) -> None:
    assert scan("1", output) == NodeOutput(scan("1", None).node)


@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.integers(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_no_output_is_an_error(output: Json) -> None:
    scan("1", output)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/a/b/c.png is broken", "c.png is broken"),
        ("C:\\Users\\me\\x.safetensors", "x.safetensors"),
        ("(/home/me/ComfyUI/custom_nodes/x/nodes.py)", "(nodes.py)"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("SDXL/model.safetensors", "SDXL/model.safetensors"),
        ("1/2 and 3 / 4", "1/2 and 3 / 4"),
        ("\n \n", ""),
        (None, ""),
    ],
)
def test_prose_keeps_names_and_loses_paths(text: str | None, line: str) -> None:
    assert first_line(text) == line
