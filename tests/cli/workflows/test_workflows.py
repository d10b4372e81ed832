"""`python -m app workflows`, with servers that only list their nodes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec
import pytest
from msgspec import Raw
from rich.console import Console

from app.cli.main import main
from app.cli.workflows.commands import check_workflows, fill_in, list_workflows, open_filled, show_workflow
from app.cli.workflows.new import new_workflow
from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Graph, Json
from app.reasons.servers import RefusedConnection
from app.workflows.api_graph import inputs
from app.workflows.load import load
from app.workflows.nodes.definitions import Definitions
from tests.refusals import refused
from tests.workflows.discovery.test_discover import entry, shipped
from tests.workflows.editor_graphs import DATA, object_info
from tests.workflows.test_workflows import FOLDER


class Listing:
    """A server that lists these nodes; None is one that is away."""

    def __init__(self, nodes: Mapping[str, Json] | None) -> None:
        self._nodes = nodes

    async def nodes(self) -> dict[str, Raw]:
        if self._nodes is None:
            raise ConnectionLost(RefusedConnection())
        return {name: Raw(msgspec.json.encode(node)) for name, node in self._nodes.items()}

    async def replacements(self) -> Mapping[str, Raw]:
        return {}


def servers(**nodes: Mapping[str, Json] | None) -> dict[ServerName, Comfy]:
    return {
        ServerName(name): cast("Comfy", cast("object", Listing(object_info))) for name, object_info in nodes.items()
    }


STUDIO = servers(studio=object_info())
AWAY = servers(studio=None)
BARE = {name: definition for name, definition in object_info().items() if name != "KSampler"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "workflows")
    return tmp_path / "workflows"


class Paper(Console):
    """A wide console whose text can be read."""

    def __init__(self) -> None:
        self.sheet = io.StringIO()
        super().__init__(file=self.sheet, width=200)

    @property
    def text(self) -> str:
        return self.sheet.getvalue()


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_the_list_has_every_workflow_and_what_is_wrong_with_it(folder: Path) -> None:
    (folder / "broken.json").write_text("{")
    shutil.copy(DATA / "harbour.ui.json", folder / "drawn.json")
    paper = Paper()
    assert list_workflows(paper, folder) == 0
    lines = {line.split()[0]: line for line in paper.text.splitlines()}
    assert "broken.json is not valid JSON" in lines["broken"]
    assert "in the editor's own format" in lines["drawn"]
    assert "/txt2img" in lines["txt2img"]


async def test_a_workflow_is_shown_with_what_its_slots_fill(folder: Path) -> None:
    paper = Paper()
    assert await show_workflow(paper, folder, "txt2img", AWAY) == 0
    (steps,) = (line for line in paper.text.splitlines() if line.startswith("steps"))
    assert steps.split() == ["steps", "integer", "“Sampler”.steps", "24", "1", "to", "150", "command"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("txt2img", "then varied (Vary) and extended (Zoom out, Pan)"),
        (
            "img2img",
            "then varied, but not extended: The size at which this picture was made is not known, so it cannot",
        ),
        ("upscale", "not varied: “Picture” changes the picture after it was made, so it cannot be varied."),
        ("music", "not varied: This workflow saves no picture, so there is none to start from."),
    ],
)
async def test_a_workflow_is_shown_with_what_can_be_done_to_its_pictures(name: str, line: str) -> None:
    paper = Paper()
    assert await show_workflow(paper, FOLDER, name, AWAY) == 0
    assert line in " ".join(paper.text.split())


async def test_a_file_of_the_editor_becomes_a_workflow(folder: Path, tmp_path: Path) -> None:
    shutil.copy(DATA / "harbour.ui.json", tmp_path / "Old Harbour.json")
    paper = Paper()
    await new_workflow(paper, folder, tmp_path / "Old Harbour.json", STUDIO)
    made = load(folder, "old_harbour")
    assert (made.title, made.command) == ("Old harbour", "old_harbour")
    assert made.graph == msgspec.json.decode((DATA / "harbour.api.json").read_bytes())
    assert "found by app mode" in paper.text
    assert "dreamscape-v1.safetensors, a model that the server does not have" in paper.text
    assert (tmp_path / "Old Harbour.json").is_file()


async def test_a_workflow_that_costs_money_gets_a_price_or_a_sentence(folder: Path, tmp_path: Path) -> None:
    graph = shipped()
    graph["4"] = entry("Paid", "Somewhere else")
    file = tmp_path / "elsewhere.json"
    file.write_bytes(msgspec.json.encode(graph))
    for expr, price in (('{"type":"usd","usd":0.25}', 0.25), ("$x", None)):
        paid: Json = {"input": {}, "output": ["LATENT"], "api_node": True, "price_badge": {"expr": expr}}
        studio = servers(studio={**object_info(), "Paid": paid})
        console = Paper()
        await new_workflow(console, folder, file, studio, studio.keys())
        assert load(folder, "elsewhere").price == price
        assert ("add price = " in console.text) == (price is None)
        off, on = Paper(), Paper()
        await check_workflows(off, folder, "elsewhere", studio)
        await check_workflows(on, folder, "elsewhere", studio, studio.keys())
        assert "set a key, a budget and a server for it" in off.text
        assert ("bills for each run" in on.text) == (price is None)
        shutil.rmtree(folder / "elsewhere")


async def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "txt2img.json"
    file.write_bytes(msgspec.json.encode(shipped()))
    before = (folder / "txt2img" / "manifest.toml").read_bytes()
    with refused(r"There is a workflow called “txt2img” in .* already"):
        await new_workflow(Paper(), folder, file, STUDIO)
    assert (folder / "txt2img" / "manifest.toml").read_bytes() == before


@pytest.mark.parametrize("name", ["dropped.json", "Dropped in.json"])
async def test_a_file_in_the_folder_moves_into_its_own(name: str, folder: Path) -> None:
    (folder / name).write_bytes(msgspec.json.encode(shipped()))
    await new_workflow(Paper(), folder, folder / name, AWAY)
    assert not (folder / name).exists()
    assert not any(path.name.startswith(".") for path in tree(folder))
    made = Path(name).stem.lower().replace(" ", "_")
    assert "prompt" in [slot.name for slot in load(folder, made).slots]


async def test_the_bots_own_and_other_workflows_commands_are_left_to_them(folder: Path, tmp_path: Path) -> None:
    for name, command in {"jobs": "make-jobs", "imagine": "make-imagine"}.items():
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(shipped()))
        await new_workflow(Paper(), folder, tmp_path / f"{name}.json", STUDIO)
        assert load(folder, name).command == command


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.json", None, "There is no file"),
        ("???.json", "{}", "“[?]{3}” cannot name a workflow"),
        ("x.json", "{", "is not valid JSON"),
        ("x.json", "[]", "is not a workflow: in ComfyUI choose"),
        ("x.json", '{"nodes": [], "links": []}', "in the editor's own format: in ComfyUI choose .* or start studio"),
    ],
)
async def test_a_file_that_does_not_serve_leaves_nothing(
    name: str, content: str | None, sentence: str, folder: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    before = tree(folder)
    with refused(sentence):
        await new_workflow(Paper(), folder, tmp_path / name, AWAY)
    assert tree(folder) == before


async def test_what_no_server_can_run_is_named_with_its_node(folder: Path) -> None:
    paper = Paper()
    assert await check_workflows(paper, folder, "", servers(studio=BARE)) == 1
    assert "no server can run it" in paper.text
    assert "studio: “Sampler” is of class KSampler, which the server does not have" in paper.text


async def test_what_only_some_servers_can_run_is_offered_there(folder: Path) -> None:
    paper = Paper()
    assert await check_workflows(paper, folder, "txt2img", servers(bare=BARE, studio=object_info())) == 0
    assert "runs on studio only" in paper.text


async def test_a_model_that_is_missing_is_named_with_its_folder(folder: Path) -> None:
    graph = shipped()
    graph["1"]["inputs"] = {"ckpt_name": "lost.safetensors"}
    (folder / "one.json").write_bytes(msgspec.json.encode(graph))
    paper = Paper()
    assert await check_workflows(paper, folder, "one", STUDIO) == 1
    assert "lost.safetensors, a model that the server does not have" in paper.text
    assert "models/checkpoints" in paper.text


CIRCLE = {"1": entry("ImageInvert", "A", image=["2", 0]), "2": entry("ImageInvert", "B", image=["1", 0])}
BAD = {
    "no output": ({"1": entry("EmptyLatentImage", width=64, height=64, batch_size=1)}, "has no output: add a node"),
    "a circle": ({**CIRCLE, "3": entry("SaveImage", images=["1", 0])}, "depend on each other in a loop"),
    "a value": ({"1": entry("EmptyLatentImage", "Size", width=1, height=64, batch_size=1)}, "“Size” is 1, but must be"),
    "an input": ({"1": entry("LoadImage", "Pic", image="a", hue=1)}, "“Pic” has no input “hue”, so the server ignores"),
    "a link": ({"1": entry("SaveImage", "S", images=["7", 0])}, "images of “S” comes from a node that does not exist"),
}


@pytest.mark.parametrize(("graph", "sentence"), BAD.values(), ids=BAD.keys())
async def test_a_graph_that_cannot_run_is_named_by_the_check(graph: Graph, sentence: str, folder: Path) -> None:
    (folder / "one.json").write_bytes(msgspec.json.encode(graph))
    paper = Paper()
    assert await check_workflows(paper, folder, "one", STUDIO) == 1
    assert sentence in paper.text.replace("\n", " ")


async def test_a_default_that_the_servers_list_lacks_is_told(folder: Path) -> None:
    (folder / "one.json").write_bytes(msgspec.json.encode(shipped()))
    slot = '[slots.sampler]\nkind = "choice"\nnode = "Sampler"\ninput = "sampler_name"\ndefault = "eulr"\n'
    (folder / "one.toml").write_text(slot)
    paper = Paper()
    assert await check_workflows(paper, folder, "one", STUDIO) == 1
    assert "cannot be “eulr”" in paper.text
    assert load(folder, "one", Definitions(object_info())).slots[0].choices == ()


async def test_workflows_that_contradict_each_other_are_told(folder: Path) -> None:
    for name, more in {"a": '[[follow_ups]]\nworkflow = "b"\nslot = "picture"', "b": ""}.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.encode({**shipped(), "9": entry("SaveImage", "Last")}))
        (folder / f"{name}.toml").write_text(f'command = "same"\n{more}')
    paper = Paper()
    assert await check_workflows(paper, folder, "", STUDIO) == 1
    assert "The workflows “a” and “b” have the same command “same”: change one." in paper.text
    assert "“a” sets “picture” of “b”, which is not a slot there" in paper.text


async def test_follow_ups_that_the_folder_does_not_have_are_one_line_and_no_mistake(folder: Path) -> None:
    graph: Graph = {"1": entry("EmptyImage", width=8, height=8), "2": entry("SaveImage", images=["1", 0])}
    flows = "".join(f'[[follow_ups]]\nworkflow = "{name}"\nslot = "image"\n' for name in ("grow", "film"))
    for name in ("a", "b"):
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(graph))
        (folder / f"{name}.toml").write_text(flows if name == "a" else "")
    paper = Paper()
    await check_workflows(paper, folder, "", STUDIO)
    (line,) = [line for line in paper.text.splitlines() if "“a” has follow-ups that this folder does not have" in line]
    assert line.split()[0] == "!"
    assert "“grow” and “film”" in line


async def test_a_server_that_is_away_is_told_by_the_check(folder: Path) -> None:
    paper = Paper()
    assert await check_workflows(paper, folder, "", servers(studio=object_info(), attic=None)) == 1
    assert paper.text.splitlines()[0].split()[:5] == ["✘", "attic", "The", "server", "refuses"]


async def test_fill_prints_what_would_be_sent_and_what_the_server_adds(folder: Path) -> None:
    values: dict[str, Json] = {"prompt": '"]}', "seed": "0"}
    graph, notes = await fill_in(folder, "txt2img", values, [("Sampler.steps", "3")], "", AWAY)
    filled = msgspec.json.decode(graph, type=Graph)
    assert inputs(filled, "2")["text"] == '"]}'
    assert (inputs(filled, "5")["seed"], inputs(filled, "5")["steps"]) == (0, 3)
    assert notes == ["ckpt_name of “Checkpoint” becomes the server's first."]


async def test_a_server_is_asked_only_where_it_helps(folder: Path) -> None:
    assert (await open_filled(folder, "txt2img", {"prompt": "x"}, AWAY))[1] is None
    with refused(r"own format: in ComfyUI choose .* start studio. It does not list its nodes: "):
        await open_filled(folder, str(DATA / "harbour.ui.json"), {}, AWAY)
    assert (await open_filled(folder, str(DATA / "harbour.ui.json"), {}, STUDIO))[1] is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show"], "workflows show needs WORKFLOW"),
        (["new"], "workflows new needs FILE"),
        (["list", "x"], "“x” is one argument too many; see python -m app workflows list"),
        (["schema", "x"], "“x” is one argument too many; see python -m app workflows schema"),
        (["show", "x", "a=b"], "“a=b” is one argument too many; see python -m app workflows show"),
        (["fill", "x", "--stpes"], "there is no option “--stpes”"),
        (["shwo"], "there is no command “workflows shwo”; did you mean “show”?"),
    ],
)
def test_words_in_the_wrong_place_are_told(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["workflows", *arguments])
    assert raised.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows", "schema"]) == 0
    assert "$defs" in msgspec.json.decode(capsys.readouterr().out)
