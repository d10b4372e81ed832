"""Every template of ComfyUI's browser becomes a graph that the server accepts."""

from __future__ import annotations

from collections.abc import Iterator

from app.ports import Json
from app.texts.reasons import reason_text
from app.workflows.api_graph import inputs
from app.workflows.model import WorkflowError
from tests.workflows import server_rules
from tests.workflows.templates import FOREIGN, converted, convertible, every_template, object_info, read, sample


def test_the_package_has_the_templates_of_the_server() -> None:
    assert len(every_template()) == 506


def test_every_template_converts() -> None:
    refused: dict[str, str] = {}
    for name in sample():
        try:
            converted(name)
        except WorkflowError as error:
            refused[name] = reason_text(error.reason)
    assert refused.keys() == FOREIGN.intersection(sample()), refused


def test_the_server_accepts_every_converted_template() -> None:
    errors = {name: server_rules.verdicts(converted(name).graph, object_info()) for name in convertible()}
    assert {name: verdicts for name, verdicts in errors.items() if verdicts} == {}


def test_values_are_those_that_the_editor_saved_by_name() -> None:
    """Since 2026 the editor saves values twice, in a row and by name; conversion reads the row."""
    compared = 0
    for name in every_template():
        content = read(name)
        assert isinstance(content, dict)
        graph = converted(name).graph if name not in FOREIGN else {}
        for node, named in named_values(content):
            if node in graph:
                sent = inputs(graph, node)
                own = {
                    field: value for field, value in named.items() if not isinstance(sent.get(field, []), (list, dict))
                }
                assert own.items() <= sent.items(), (name, node)
                compared += len(own)
    assert compared > 100


def named_values(content: dict[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """The values by name of each node of the workflow itself; those inside of subgraphs may be set from outside."""
    nodes = content["nodes"]
    for entry in nodes if isinstance(nodes, list) else ():
        if isinstance(entry, dict) and isinstance(named := entry.get("widgets_values_named"), dict):
            yield str(entry["id"]), named
