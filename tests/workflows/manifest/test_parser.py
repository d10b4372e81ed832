"""What may stand in a manifest, and what is said of what may not."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ports import Graph, Json
from app.text_file import line_of
from app.texts.reasons.text import reason_text
from app.workflows.files import LARGEST, list_names
from app.workflows.load import NeedsServer, Workflow, load
from app.workflows.manifest.schema import Manifest, schema
from app.workflows.model import Slot, Target, WorkflowError
from tests.refusals import refusal_of, refused
from tests.workflows.discovery.test_discover import entry, shipped
from tests.workflows.editor_graphs import ANY_DRAWING, ANY_JSON, UNHURRIED, read, server

SLOT = '[slots.steps]\nkind = "integer"\nnode = "Sampler"\ninput = "steps"\n'


def stored(folder: Path, manifest: str, graph: Graph | Json = None) -> Path:
    (folder / "one.json").write_bytes(msgspec.json.encode(graph if graph is not None else shipped()))
    (folder / "one.toml").write_text(manifest, encoding="utf-8")
    return folder


def loaded(folder: Path, manifest: str, graph: Graph | Json = None) -> Workflow:
    return load(stored(folder, manifest, graph), "one")


def only(workflow: Workflow) -> Slot:
    (slot,) = workflow.slots
    return slot


def test_a_workflow_is_a_folder_or_a_pair_or_a_file(tmp_path: Path) -> None:
    stored(tmp_path, 'title = "A pair"')
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "workflow.json").write_bytes(msgspec.json.encode(shipped()))
    (tmp_path / "three.app.json").write_bytes(msgspec.json.encode(shipped()))
    (tmp_path / "manifest.schema.json").write_text("{}")
    assert list_names(tmp_path) == ["one", "three", "two"]
    assert load(tmp_path, "one").title == load(Path(), str(tmp_path / "one.json")).title == "A pair"
    assert load(tmp_path, "two").name == load(Path(), str(tmp_path / "two" / "workflow.json")).name == "two"


def test_two_workflows_of_one_name_are_both_named(tmp_path: Path) -> None:
    stored(tmp_path, "")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "workflow.json").write_text("{}")
    with refused(r"two workflows called “one” in .*one/workflow\.json and one\.json"):
        load(tmp_path, "one")


def test_everything_that_a_manifest_says_is_kept(tmp_path: Path) -> None:
    manifest = """
title = "Harbours"
menu = "Draw it again"
result = "image"
cost = 2.5
silence = 300
spoiler = true
users = [180000000000000001, "180000000000000002"]
roles = ["painters"]
[presets.quick]
steps = 4
[[follow_ups]]
workflow = "upscale"
slot = "image"
values = { factor = 4 }
"""
    workflow = loaded(tmp_path, f"{manifest}{SLOT}show = 'settings'\nstep = 2\n")
    assert (workflow.title, workflow.menu, workflow.command, workflow.result) == (
        "Harbours",
        "Draw it again",
        "",
        "image",
    )
    assert (workflow.cost, workflow.silence, workflow.spoiler) == (2.5, 300, True)
    assert (workflow.users, workflow.roles) == (("180000000000000001", "180000000000000002"), ("painters",))
    assert workflow.presets == {"quick": {"steps": 4}}
    assert [(follow_up.workflow, follow_up.slot, follow_up.values) for follow_up in workflow.follow_ups] == [
        ("upscale", "image", {"factor": 4})
    ]
    assert (only(workflow).show, only(workflow).step) == ("settings", 2)


PROMPT = '[slots.prompt]\nkind = "text"\nnode = "Prompt"\ninput = "text"\n'


@pytest.mark.parametrize(
    ("manifest", "task"),
    [
        (f'result = "image"\n{PROMPT}', "imagine"),
        (f'result = "image"\ntask = "imagine"\n{PROMPT}', "imagine"),
        (f'result = "image"\ntask = "none"\n{PROMPT}', ""),
        (f'result = "image"\nfollow_up = true\n{PROMPT}', ""),
        (f'result = "video"\n{PROMPT}', "film"),
        (f'result = "text"\n{PROMPT}', ""),
        (PROMPT, ""),
    ],
)
def test_the_task_is_the_one_it_names_or_the_one_that_result_and_slots_show(
    manifest: str, task: str, tmp_path: Path
) -> None:
    assert loaded(tmp_path, manifest).task == task


WRONG = {
    "an unknown key": ('titel = "x"', "one.toml, line 1: there is no key “titel”; did you mean “title”?"),
    "an unknown key of a slot": (f"{SLOT}\nminumum = 1", "one.toml, line 6: there is no key “minumum”; did you mean"),
    "an unknown kind": ('[slots.a]\nkind = "txt"', "line 2: slots.a.kind cannot be “txt”; did you mean “text”?"),
    "a wrong type": (f'{SLOT}required = "yes"', "line 5: slots.steps.required must be true or false."),
    "a wrong type above": ("title = 3", "line 1: title must be a text in quotes."),
    "no kind": ('[slots.a]\nnode = "x"', "line 1: slots.a lacks the key “kind”."),
    "a bad name": (
        '[slots."My slot"]\nkind = "text"',
        "“My slot” cannot be a name in slots: use lowercase letters, digits",
    ),
    "a default out of range": (f"{SLOT}maximum = 5\ndefault = 9", "line 1: steps is 9, but must be at most 5."),
    "limits the wrong way": (f"{SLOT}minimum = 5\nmaximum = 1", "line 1: minimum of steps is more than its maximum."),
    "a limit that is none": (f"{SLOT}minimum = nan", "minimum of steps must be a finite number."),
    "a limit beyond all numbers": (f"{SLOT}maximum = {'9' * 400}", "maximum of steps must be a finite number."),
    "no step": (f"{SLOT}step = 0", "step of steps must be more than 0."),
    "an unknown node": (SLOT.replace("Sampler", "Samplr"), "line 1: There is no node called “Samplr”; did you mean"),
    "an unknown input": (SLOT.replace('"steps"', '"stps"'), "“Sampler” has no input “stps”; did you mean “steps”?"),
    "no input": (
        '[slots.a]\nkind = "text"\nnode = "Prompt"',
        "does not say which input of “Prompt” it is; it has text",
    ),
    "nothing to look for": ('[slots.odd]\nkind = "text"', "the slot odd names no node, and none has the title @odd."),
    "both": (f'{SLOT}targets = [{{ node = "5", input = "cfg" }}]', "the slot steps has node and targets"),
    "a built-in command": ('command = "jobs"', "line 1: the bot itself has a command “jobs”"),
    "a bad command": ('command = "Make it"', "line 1: “Make it” cannot be a command"),
    "a follow-up with a command": (
        'command = "x"\nfollow_up = true',
        "line 2: a workflow that only follows another's result cannot",
    ),
    "an unknown task": ('task = "imagin"', "line 1: task cannot be “imagin”; did you mean “imagine”?"),
    "a task without its picture": (
        'task = "edit"\n[slots.prompt]\nkind = "text"\nnode = "Prompt"\ninput = "text"',
        "line 1: a workflow for “edit” needs a slot of the kind “image”: add it, or change “task”.",
    ),
    "a task without its prompt": (
        'task = "imagine"',
        "line 1: a workflow for “imagine” needs a slot “prompt” of the kind",
    ),
    "a preset of nothing": (f"{SLOT}[presets.a]\nstps = 1", "line 6: the preset a sets stps, which is not a slot; did"),
    "a preset of the wrong type": (f"{SLOT}[presets.a]\nsteps = 'x'", "line 6: the preset a: steps must be a whole"),
    "a long menu": (f'menu = "{"x" * 33}"', "line 1: menu must be at most 32 characters long."),
    "a negative cost": ("cost = -1", "line 1: cost must be at least 0."),
    "a table that is none": ("slots = 3", "line 1: slots must be tables such as [slots.name]."),
    "a follow-up of nothing": ('[[follow_ups]]\nworkflow = "x"', "line 1: follow_ups lacks the key “slot”."),
    "no TOML": ("title =", "one.toml, line 1: this value is not valid"),
}


@pytest.mark.parametrize(("manifest", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_one_sentence_with_file_and_line(manifest: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError) as raised:
        loaded(tmp_path, manifest)
    assert sentence in refusal_of(raised.value)
    assert "one.toml" in refusal_of(raised.value)
    assert "\n" not in refusal_of(raised.value)


def test_the_largest_seed_is_exact(tmp_path: Path) -> None:
    manifest = SLOT.replace("steps", "seed").replace("integer", "seed")
    slot = only(loaded(tmp_path, f"{manifest}minimum = 0\nmaximum = 18446744073709551615"))
    assert slot.read(2**64 - 1) == slot.read(str(2**64 - 1)) == 2**64 - 1
    with refused("seed is 18446744073709551616, but must be between 0 and 18446744073709551"):
        slot.read(2**64)


@pytest.mark.parametrize(
    ("limits", "value", "sentence"),
    [
        ((0, None), -1, "n is -1, but must be at least 0."),
        ((None, 0), 1, "n is 1, but must be at most 0."),
        ((0, 2), 3, "n is 3, but must be between 0 and 2."),
    ],
)
def test_a_limit_of_zero_is_a_limit(limits: tuple[int | None, int | None], value: int, sentence: str) -> None:
    slot = Slot(name="n", title="n", kind="integer", targets=(), minimum=limits[0], maximum=limits[1])
    with pytest.raises(WorkflowError) as raised:
        slot.read(value)
    assert refusal_of(raised.value) == sentence


@pytest.mark.parametrize("text", ["1024x768", "1024 × 768", "1024*768", [1024, 768], ["1024", 768]])
def test_a_size_is_read_as_people_write_it(text: Json) -> None:
    slot = Slot(name="size", title="Size", kind="size", targets=(), maximum=2048)
    assert slot.read(text) == [1024, 768]


@pytest.mark.parametrize(("text", "sentence"), [("big", "such as 1024x768, not “big”."), ("9x4096", "is 4096, but")])
def test_what_is_no_size_is_told(text: str, sentence: str) -> None:
    with refused(sentence):
        Slot(name="size", title="Size", kind="size", targets=(), maximum=2048).read(text)


def test_a_size_and_a_lora_need_no_input(tmp_path: Path) -> None:
    manifest = '[slots.size]\nkind = "size"\nnode = "Size"\n[slots.lora]\nkind = "lora"\nnode = "Checkpoint"\n'
    size, lora = loaded(tmp_path, manifest).slots
    assert size.targets == (Target("4", "width"), Target("4", "height"))  # pyright: ignore[reportArgumentType]
    assert lora.targets == (Target("1", ""),)  # pyright: ignore[reportArgumentType]


def test_a_slot_that_names_no_node_is_found_by_title_or_links(tmp_path: Path) -> None:
    graph = shipped()
    graph["3"]["_meta"] = {"title": "@mood"}
    mood, prompt = loaded(tmp_path, '[slots.mood]\nkind = "text"\n[slots.prompt]\nkind = "text"\n', graph).slots
    assert (mood.targets[0].node, prompt.targets[0].node) == ("3", "2")


def test_two_candidates_for_a_slot_are_both_named(tmp_path: Path) -> None:
    graph = shipped()
    graph["8"] = entry("KSampler", "Again", positive=["2", 0], latent_image=["4", 0], seed=1)
    with refused(r"one.toml, line 1: seed could be “Sampler”.seed or “Again”.seed"):
        loaded(tmp_path, '[slots.seed]\nkind = "seed"\n', graph)


def test_without_a_list_of_its_own_a_slot_has_the_servers(tmp_path: Path) -> None:
    manifest = '[slots.sampler]\nkind = "choice"\nnode = "Sampler"\ninput = "sampler_name"\n'
    stored(tmp_path, manifest + SLOT)
    assert load(tmp_path, "one").slots[0].read("anything") == "anything"
    sampler, steps = load(tmp_path, "one", server()).slots
    assert "euler" in sampler.choices
    assert (steps.minimum, steps.maximum) == (1, 10000)


def test_more_options_than_discord_takes_move_to_the_form(tmp_path: Path) -> None:
    graph: Graph = {"1": entry("Odd", "Odd", **{f"a{number}": 1 for number in range(28)})}
    form = '[slots.a{0}]\nkind = "integer"\nnode = "Odd"\ninput = "a{0}"\nrequired = {1}\n'
    slots = [form.format(number, str(number > 26).lower()) for number in range(28)]
    workflow = loaded(tmp_path, "".join(slots), graph)
    assert [slot.name for slot in workflow.slots if slot.show == "modal"] == ["a24", "a25", "a26"]
    assert [reason_text(note) for note in workflow.notes] == [
        "A command has room for 25 of its 28 options, so you find these in its form: a24, a25, a26.",
    ]


def test_the_editors_format_needs_a_server(tmp_path: Path) -> None:
    stored(tmp_path, "", read("harbour.ui.json"))
    with refused(r"one\.json is in the editor's own format: in ComfyUI choose", NeedsServer):
        load(tmp_path, "one")
    assert load(tmp_path, "one", server()).graph == read("harbour.api.json")


def test_a_file_without_a_manifest_has_the_slots_that_it_shows(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(msgspec.json.encode(shipped()))
    workflow = load(tmp_path, "one")
    assert {"prompt", "negative", "seed", "steps", "width"} <= {slot.name for slot in workflow.slots}
    assert not any(slot.required for slot in workflow.slots)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(LARGEST + 2**22)
    with refused(r"big\.json has 20 MB, but a workflow may have 16 MB: in ComfyUI choose"):
        load(tmp_path, "big")


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_a_file_that_is_nested_deeply_is_a_sentence(depth: int, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * depth + "]" * depth)
    with refused("is not a workflow"):
        load(tmp_path, "deep")


@UNHURRIED
@given(content=ANY_JSON | ANY_DRAWING)
def test_any_json_is_a_workflow_or_a_sentence(content: Json, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "any.json"
    path.write_bytes(msgspec.json.encode(content))
    with suppress(WorkflowError):
        load(path.parent, "any", server())


@given(content=st.dictionaries(st.sampled_from([*Manifest.__struct_fields__, "x"]), ANY_JSON, max_size=5))
def test_any_table_is_a_manifest_or_a_sentence(
    content: dict[str, Json], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with suppress(WorkflowError):
        loaded(folder, "".join(f"{key} = {_toml(value)}\n" for key, value in content.items()))


def _toml(value: Json) -> str:
    """TOML has no null."""
    match value:
        case dict():
            return f"{{{', '.join(f'{_toml(key)} = {_toml(item)}' for key, item in value.items())}}}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return json.dumps(value if value is not None else "", ensure_ascii=False)


def test_a_key_is_found_in_its_own_table() -> None:
    text = 'title = "x"\n\n[slots.a]\nkind = "text"  # x\n[slots."b"]\nkind = "seed"\npresets.c = 1\n[[follow_ups]]\n'
    assert line_of(text, ("slots", "b", "kind")) == 6
    assert line_of(text, ("slots", "b", "missing")) == 5
    assert line_of(text, ("follow_ups", "slot")) == 8
    assert line_of(text, ("nothing",)) == 0


def test_the_schema_names_every_key_and_describes_it() -> None:
    generated = json.loads(json.dumps(schema()))
    for table in ("Manifest", "ManifestSlot", "ManifestTarget", "FollowUp"):
        fields = generated["$defs"][table]["properties"]
        assert fields
        assert all("description" in field for field in fields.values())


def test_a_graph_may_have_any_titles(tmp_path: Path) -> None:
    graph: Graph = {"1": entry("Odd", 'a "b". [c]', text="x")}
    slot = only(loaded(tmp_path, "[slots.x]\nkind = 'text'\nnode = 'a \"b\". [c]'\ninput = 'text'", graph))
    assert slot.targets[0].node == "1"
