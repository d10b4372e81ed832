"""What comes out: real files, of the asked size, from the asked words."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from app.simulator.art import painter
from app.simulator.art.painter import Recipe
from app.simulator.media import flac, mp3, mp4, safetensors, webm
from app.workflows.api_graph import check_graph, inputs
from app.workflows.variations.derive import STRENGTHS, derive
from tests.conftest import virtual
from tests.simulator import graphs
from tests.simulator.replay import client, living
from tests.simulator.talking import end, post


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(request.param)


def distance(first: Image.Image, second: Image.Image) -> float:
    """The mean difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(first.convert("RGB"), second.convert("RGB"))).mean) / 3


async def made(folder: Path, graph: graphs.Body, **more: Any) -> list[bytes]:
    """Run a graph; the contents of all its files."""
    async with living(folder, step_time=0.0) as sim, sim.connect("me") as socket, client(sim) as http:
        answer = await post(http, graph, "a", **more)
        assert answer.status_code == 200, answer.text
        assert "execution_success" in await end(socket, "a")
        outputs = (await http.get("/history/a")).json()["a"]["outputs"]
        entries = [
            entry
            for node_output in outputs.values()
            for key in ("images", "audio")
            for entry in node_output.get(key, [])
        ]
        return [(await http.get("/view", params=entry)).content for entry in entries]


async def test_a_picture_has_its_size_its_graph_and_its_workflow(tmp_path: Path) -> None:
    graph = graphs.txt2img(size=256)
    extra = {"extra_pnginfo": {"workflow": {"nodes": [1]}}}
    (content,) = await made(tmp_path, graph, extra_data=extra)
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.size) == ("PNG", (256, 256))
        assert json.loads(picture.info["prompt"]) == graph
        assert json.loads(picture.info["workflow"]) == {"nodes": [1]}


async def test_a_batch_has_different_pictures(tmp_path: Path) -> None:
    first, second = await made(tmp_path, graphs.txt2img(batch=2))
    assert first != second


async def test_img2img_keeps_what_denoise_leaves(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    original = Image.new("RGB", (128, 128), (250, 20, 20))
    original.save(tmp_path / "input" / "red.png")
    distances: list[float] = []
    for denoise in (0.2, 0.5, 0.9):
        (content,) = await made(tmp_path, graphs.img2img("red.png", denoise))
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.size == (128, 128)
            distances.append(distance(picture, original))
    assert distances == sorted(distances)
    assert distances[2] > 2 * distances[0] > 0


@pytest.mark.parametrize(
    ("save", "inputs", "begins"),
    [
        ("SaveAnimatedWEBP", {"fps": 8.0, "lossless": False, "quality": 80, "method": "default"}, b"RIFF"),
        ("SaveAnimatedPNG", {"fps": 8.0, "compress_level": 4}, b"\x89PNG"),
        ("SaveWEBM", {"codec": "vp9", "fps": 8.0, "crf": 32.0}, b"\x1a\x45\xdf\xa3"),
    ],
)
async def test_films_are_what_their_names_say(tmp_path: Path, save: str, inputs: dict[str, Any], begins: bytes) -> None:
    (content,) = await made(tmp_path, graphs.plain(9, save=save, **inputs))
    assert content.startswith(begins)


async def test_sound_is_flac(tmp_path: Path) -> None:
    graph: graphs.Body = {
        "1": {"class_type": "EmptyAudio", "inputs": {"duration": 1.0, "sample_rate": 44100, "channels": 2}},
        "2": {"class_type": "SaveAudio", "inputs": {"audio": ["1", 0], "filename_prefix": "tone"}},
    }
    (content,) = await made(tmp_path, graph)
    assert content.startswith(b"fLaC")
    assert content == flac.encode(1.0)


async def test_mp3_is_as_long_as_it_should_be(tmp_path: Path) -> None:
    graph: graphs.Body = {
        "1": {"class_type": "EmptyAudio", "inputs": {"duration": 2.0, "sample_rate": 44100, "channels": 2}},
        "2": {"class_type": "SaveAudioMP3", "inputs": {"audio": ["1", 0], "filename_prefix": "x", "quality": "V0"}},
    }
    (content,) = await made(tmp_path, graph)
    frames, remaining_bytes = divmod(len(content), len(mp3.FRAME))
    assert remaining_bytes == 0
    assert content == mp3.FRAME * frames
    assert frames * 1152 / 44100 == pytest.approx(2, abs=0.03)


def test_a_latent_is_a_safetensors_file_of_the_recorded_size() -> None:
    content = safetensors.encode(2, 64, 32, "{}")
    size = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + size])
    assert head["latent_tensor"] == {"dtype": "F32", "shape": [2, 4, 4, 8], "data_offsets": [0, 1024]}
    assert len(content) == 8 + size + 1024


async def test_a_second_prompt_with_the_same_recipe_gets_the_same_picture(tmp_path: Path) -> None:
    (first,) = await made(tmp_path / "one", graphs.txt2img())
    (second,) = await made(tmp_path / "two", graphs.txt2img())
    (other,) = await made(tmp_path / "other", graphs.txt2img(seed=2))
    assert first == second
    assert first != other


@pytest.mark.parametrize("size", [(8, 8), (512, 96), (96, 512), (2048, 1024)])
def test_any_size_can_be_painted(size: tuple[int, int]) -> None:
    recipe = Recipe("a cat by the sea in the city, mountains", 3, "m", 20, *size)
    for seed in range(6):
        sized = Recipe(recipe.words, seed, recipe.model, 20, *size)
        assert painter.caption(painter.paint(sized), sized).size == size


def test_previews_become_clearer() -> None:
    picture = painter.paint(Recipe("city at night", 3, "m", 20, 256, 256))
    final = Image.open(io.BytesIO(painter.preview(picture, 1.0)))
    away = [distance(Image.open(io.BytesIO(painter.preview(picture, share))), final) for share in (0.1, 0.5, 0.8)]
    assert away == sorted(away, reverse=True)
    assert final.size == (512, 512)


def test_the_tables_of_a_film_lead_to_its_frames() -> None:
    frames = painter.film(painter.paint(Recipe("sea", 1, "m", 20, 64, 48)), 3)
    content = mp4.encode(frames, 8)
    at = content.index(b"stco") + 12
    offset = int.from_bytes(content[at : at + 4], "big")
    assert content[4:8] == b"ftyp"
    assert content[offset : offset + 2] == b"\xff\xd8"
    assert webm.encode(frames, 8).count(b"\x9d\x01\x2a") == 3, "three VP8 key frames"


async def drawn(folder: Path, graph: graphs.Body) -> Image.Image:
    (content,) = await made(folder, graph)
    return Image.open(io.BytesIO(content)).convert("RGB")


async def test_a_subtle_variation_differs_less_than_a_strong_one_and_that_less_than_another_seed(
    tmp_path: Path,
) -> None:
    first = await drawn(tmp_path, graphs.txt2img(size=128, seed=1))
    (tmp_path / "input").mkdir(exist_ok=True)
    first.save(tmp_path / "input" / "first.png")
    apart: list[float] = []
    for strength in STRENGTHS:
        derived = derive(check_graph(graphs.txt2img(size=128, seed=2), "t2i"), strength)
        inputs(derived.graph, derived.picture.node)[derived.picture.input] = "first.png"
        apart.append(distance(first, await drawn(tmp_path, {**derived.graph})))
    apart.append(distance(first, await drawn(tmp_path, graphs.txt2img(size=128, seed=2))))
    assert 2 < apart[0] < apart[1] < apart[2]
