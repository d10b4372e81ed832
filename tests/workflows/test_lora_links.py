"""Loaders of LoRAs that stay in their row stay linked to each other."""

from __future__ import annotations

from app.workflows.api_graph import inputs
from app.workflows.lora import Lora
from tests.workflows.test_lora import fill, lora_row


def test_each_loader_takes_its_model_from_the_one_before_it() -> None:
    filled = fill(lora_row("a", "b"), "20", Lora("x"), Lora("y"))
    links = [inputs(filled, node)["model"] for node in ("20", "21", "5")]
    assert links == [["1", 0], ["20", 0], ["21", 0]]
