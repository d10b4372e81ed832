"""Which workflow shows people what they can make."""

from __future__ import annotations

from msgspec.structs import replace

from app.service.offers.examples import example_workflow
from app.service.requests import Person
from app.workflows.load import Workflow, load
from tests.discord.flows import FOLDER, IMG2IMG, TXT2IMG, slot, workflow

ADA = Person(user="1", roles=frozenset({"7"}))


def name_of(*workflows: Workflow, person: Person | None = ADA) -> str:
    found = example_workflow(workflows, person)
    return found.name if found is not None else ""


def test_the_cheapest_that_makes_a_picture_of_words_is_taken() -> None:
    flux, film = load(FOLDER, "flux"), load(FOLDER, "txt2vid")
    assert name_of(film, flux, IMG2IMG, TXT2IMG) == "txt2img"
    assert name_of(film, flux, IMG2IMG) == "flux"
    assert name_of(film, IMG2IMG) == "", "one makes videos, and one needs a picture"
    assert name_of() == ""


def test_what_costs_money_has_no_command_or_needs_more_is_left_out() -> None:
    plain = workflow(slot("prompt", required=True))
    assert name_of(plain) == "paint"
    assert name_of(replace(plain, price=0.01)) == ""
    assert name_of(replace(plain, command="")) == ""
    assert name_of(workflow(slot("prompt"), slot("style", required=True))) == ""
    assert name_of(workflow(slot("words"))) == ""


def test_it_is_one_that_the_person_may_use() -> None:
    plain = workflow(slot("prompt"))
    assert name_of(replace(plain, roles=("7",))) == "paint"
    assert name_of(replace(plain, roles=("8",))) == ""
    assert name_of(replace(plain, users=("1",)), person=None) == "", "not everybody may"
    assert name_of(plain, person=None) == "paint"
