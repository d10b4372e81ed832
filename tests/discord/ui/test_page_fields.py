"""The fields of a form as the page has them."""

from __future__ import annotations

from app.discord.ui import modals
from app.discord.ui.page_fields import EVERY_FIELD, needs_file, page_fields
from app.ports import Json
from app.service.page_actions import PageField
from app.workflows.load import Workflow
from tests.discord.flows import IMG2IMG, TXT2IMG, slot, workflow

MODELS = {"checkpoint": ("dreamscape-v1.safetensors", "other_xl.safetensors")}
MANY = tuple(f"model-{number:02}.safetensors" for number in range(60))


def fields_of(flow: Workflow, values: dict[str, Json], offered: dict[str, tuple[str, ...]]) -> dict[str, PageField]:
    form = modals.form(flow, "vary:x", values, offered=offered, files=["image"], most=EVERY_FIELD)
    assert form is not None
    return {field.name: field for field in page_fields(form, flow, offered)}


def test_the_page_asks_for_everything_at_once_but_files() -> None:
    fields = fields_of(IMG2IMG, {"prompt": "x", "image": "/kept.png"}, MODELS)
    assert fields.keys() == {slot.name for slot in IMG2IMG.slots} - {"image"}
    assert fields["denoise"].kind == "number"
    assert fields["checkpoint"].choices[0] == ("automatic", "The server's first one")


def test_both_sides_of_a_picture_are_one_field_as_in_discord() -> None:
    fields = fields_of(TXT2IMG, {"prompt": "x", "width": 512, "height": 512}, MODELS)
    assert not {"width", "height"} & fields.keys()
    assert fields[modals.FORMAT].value == "512x512"


def test_a_list_that_is_too_long_for_discord_is_whole_on_the_page() -> None:
    fields = fields_of(TXT2IMG, {"prompt": "x", "checkpoint": "gone.safetensors"}, {"checkpoint": MANY})
    checkpoint = fields["checkpoint"]
    assert checkpoint.kind == "choice"
    assert [value for value, _ in checkpoint.choices] == ["", "gone.safetensors", *MANY]
    assert checkpoint.choices[0][1] == "The server's first one"
    assert (checkpoint.value, checkpoint.choices[2][1]) == ("gone.safetensors", "Model 00")


def test_a_list_that_nobody_knows_is_a_line_of_text() -> None:
    assert fields_of(TXT2IMG, {"prompt": "x"}, {})["checkpoint"].kind == "text"


def test_a_switch_is_yes_or_no_and_a_seed_is_exact() -> None:
    flow = workflow(slot("prompt"), slot("tiled", "boolean", default=True), slot("seed", "seed"))
    fields = fields_of(flow, {"seed": 2**64 - 1}, {})
    assert (fields["tiled"].kind, fields["tiled"].value) == ("yes", "true")
    assert (fields["seed"].kind, fields["seed"].value) == ("text", "18446744073709551615")


def test_a_form_that_needs_a_file_is_known() -> None:
    for values, needed in ((dict[str, Json](image="/kept.png"), False), (dict[str, Json](), True)):
        form = modals.form(IMG2IMG, "use:x", values, files=["image"], most=EVERY_FIELD)
        assert form is not None
        assert needs_file(form) is needed
