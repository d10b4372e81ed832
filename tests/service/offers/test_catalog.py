"""What is offered, by what lies in the folder and what the servers have."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from anyio import to_thread

from app.comfy.client import open_comfy_client
from app.config.settings import Server
from app.core.jobs.job import JobRequest
from app.discord.ui.offer_rules import LONGEST_WORKFLOW, name_problem, warnings
from app.events import JobId, ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, Json
from app.service.offers.catalog import Catalog, OfferRules, unknown_workflows
from app.service.reasons import AllowedNowhere
from app.service.server_monitor import ServerMonitor
from app.texts.reasons.text import reason_text
from app.workflows.nodes.definitions import Definitions

A, B = ServerName("a"), ServerName("b")

SAVE: dict[str, Json] = {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True}
PAINT: dict[str, Json] = {"input": {}, "output": ["IMAGE"]}
GRAPH = """{"1": {"class_type": "%s", "inputs": {}}, "2": {"class_type": "Save", "inputs": {"images": ["1", 0]}}}"""

IDLE: dict[str, list[Json]] = {"queue_running": [], "queue_pending": []}

DISCORD = OfferRules(name_problem, warnings)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("program_logs")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows" / "ink").mkdir(parents=True)
    return tmp_path / "flows"


def write(folder: Path, name: str, kind: str = "Paint", manifest: str = "") -> None:
    (folder / f"{name}.json").write_text(GRAPH % kind)
    (folder / f"{name}.toml").write_text(manifest or f'command = "{name}"')


async def test_both_layouts_come_change_and_go(folder: Path) -> None:
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A], known.get, DISCORD)
    assert not await catalog.look(), "nothing is there, and nothing was"
    write(folder, "oil")
    (folder / "ink" / "workflow.app.json").write_text(GRAPH % "Paint")
    assert await catalog.look()
    assert set(catalog.workflows) == {"ink", "oil"}
    assert not await catalog.look()
    (folder / "oil.toml").write_text('command = "tempera"')
    (folder / "ink" / "workflow.app.json").unlink()
    assert await catalog.look()
    assert [workflow.command for workflow in catalog.workflows.values()] == ["tempera"]
    shutil.rmtree(folder)
    assert await catalog.look()
    assert not catalog.workflows


async def test_ones_own_workflows_are_offered_beside_those_of_the_program(folder: Path, tmp_path: Path) -> None:
    included = tmp_path / "included"
    included.mkdir()
    write(included, "oil")
    write(included, "chalk")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog((folder, included), [A], known.get, DISCORD)
    await catalog.look()
    assert list(catalog.workflows) == ["chalk", "oil"]
    write(folder, "oil", manifest='command = "tempera"')
    assert await catalog.look()
    assert [workflow.command for workflow in catalog.workflows.values()] == ["tempera", "chalk"]
    (included / "chalk.json").unlink()
    assert await catalog.look()
    assert list(catalog.workflows) == ["oil"]


async def test_a_link_to_nowhere_does_no_harm(folder: Path) -> None:
    write(folder, "oil")
    (folder / "lost.json").symlink_to(folder / "gone.json")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A], known.get, DISCORD)
    assert await catalog.look()
    assert set(catalog.workflows) == {"oil"}


async def test_everything_is_offered_everywhere_until_a_server_was_seen(folder: Path) -> None:
    write(folder, "oil")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A, B], known.get, DISCORD)
    await catalog.look()
    assert (set(catalog.workflows), dict(catalog.servers)) == ({"oil"}, {})
    assert catalog.definitions("oil") is None
    assert catalog.able(JobRequest(job=JobId("job"), workflow="oil", graph={}, folder="")) == (), "nobody knows"
    assert catalog.offered() is None
    assert catalog.offered({B}) == {"oil": (A, B)}, "it answers, and does not say"


async def test_jobs_of_a_workflow_that_no_server_can_run_are_told_so(folder: Path) -> None:
    write(folder, "oil")
    write(folder, "ink", "Ink")
    (folder / "broken.toml").write_text("nonsense =")
    known = {A: Definitions({"Ink": PAINT, "Save": SAVE})}
    catalog = Catalog(folder, [A], known.get, DISCORD, workflows_of=lambda _: ["oil"])
    await catalog.look()
    assert catalog.offered() == {"ink": (), "oil": ()}, "it may not run one, and cannot run the other"


async def test_a_server_that_is_started_when_needed_counts_as_able_until_it_was_seen(folder: Path) -> None:
    write(folder, "oil")
    write(folder, "ink", "Ink")
    known: dict[ServerName, Definitions] = {A: Definitions({"Paint": PAINT, "Save": SAVE})}
    catalog = Catalog(folder, [A, B], known.get, DISCORD, is_started=lambda server: server == B)
    await catalog.look()
    assert (set(catalog.workflows), dict(catalog.servers)) == ({"ink", "oil"}, {"ink": (B,)})
    assert catalog.offered() == {"ink": (B,), "oil": (A, B)}
    known[B] = Definitions({"Paint": PAINT, "Save": SAVE})
    await catalog.look()
    assert set(catalog.workflows) == {"oil"}


async def test_while_no_server_was_seen_jobs_may_start_those_that_are_started_when_needed(folder: Path) -> None:
    write(folder, "oil")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A, B], known.get, DISCORD, is_started=lambda server: server == B)
    await catalog.look()
    assert catalog.offered() == {"oil": (B,)}


async def test_a_workflow_goes_only_where_it_is_known_to_run(folder: Path) -> None:
    write(folder, "oil")
    write(folder, "ink", "Ink")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A, B], known.get, DISCORD)
    known[A] = Definitions({"Paint": PAINT, "Save": SAVE})
    await catalog.look()
    assert dict(catalog.servers) == {"oil": (A,)}, "nobody knows yet what b has"
    assert "Ink" in reason_text(catalog.refused["ink"])
    known[B] = Definitions({"Paint": PAINT, "Ink": PAINT, "Save": SAVE})
    assert await catalog.look()
    assert dict(catalog.servers) == {"ink": (B,)}
    definitions = catalog.definitions("ink")
    assert definitions is not None
    assert definitions.get("Ink") is not None
    request = JobRequest(job=JobId("job"), workflow="ink", graph={}, folder="")
    assert catalog.able(request) == (B,)
    assert catalog.offered() == {"ink": (B,), "oil": (A, B)}


async def test_a_last_good_version_is_held_against_the_servers_too(folder: Path) -> None:
    write(folder, "ink", "Ink")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A], known.get, DISCORD)
    known[A] = Definitions({"Ink": PAINT, "Save": SAVE})
    await catalog.look()
    (folder / "ink.toml").write_text("nonsense =")
    assert not await catalog.look(), "the offer is what it was"
    assert "ink" in catalog.workflows
    known[A] = Definitions({"Paint": PAINT, "Save": SAVE})
    await catalog.look()
    assert "ink" in catalog.refused
    known[A] = Definitions({"Ink": PAINT, "Save": SAVE})
    await catalog.look()
    assert "ink" in catalog.workflows, "it is remembered while no server can run it"


async def test_a_follow_up_that_no_server_can_run_yet_is_no_mistake(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(folder, "oil", manifest='[[follow_ups]]\nworkflow = "ink"\nslot = "image"\n')
    write(folder, "ink", "Ink")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A], known.get, DISCORD)
    known[A] = Definitions({"Paint": PAINT, "Save": SAVE})
    await catalog.look()
    assert set(catalog.workflows) == {"oil"}
    output = "".join(capfd.readouterr())
    assert "No server can run ink" in output
    assert "followed" not in output


async def test_what_is_wrong_is_said_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(folder, "w" * (LONGEST_WORKFLOW + 1), manifest='command = "long"')
    write(folder, "oil", manifest='command = "oil"\nroles = ["painters"]')
    write(folder, "ink", "Ink")
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A], known.get, DISCORD)
    for _ in range(2):
        known[A] = Definitions({"Paint": PAINT, "Save": SAVE})
        await catalog.look()
    output = "".join(capfd.readouterr())
    assert set(catalog.workflows) == {"oil"}
    for part in ("too long for Discord", "“painters” is not an id", "No server can run ink"):
        assert output.count(part) == 1


@asynccontextmanager
async def server(answer: Callable[[httpx.Request], httpx.Response]) -> AsyncGenerator[Comfy]:
    transport = httpx.MockTransport(answer)
    async with open_comfy_client(
        Server(url="http://a"), "x", run_sync=to_thread.run_sync, transport=transport
    ) as comfy:
        yield comfy


async def test_a_server_that_does_not_list_its_nodes_is_not_away(folder: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=IDLE) if request.url.path == "/queue" else httpx.Response(404)

    write(folder, "oil")
    async with server(answer) as comfy:
        nodes = NodeCache(comfy)
        catalog = Catalog(folder, [A], lambda _: nodes.definitions, DISCORD)
        assert await ServerMonitor({A: comfy}, {A: nodes}).poll() == []
    await catalog.look()
    assert "oil" in catalog.workflows


async def test_nodes_are_asked_for_once_each_time_that_a_server_comes() -> None:
    paths: list[str] = []
    there = True

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        if not there:
            raise httpx.ConnectError("away", request=request)
        return httpx.Response(200, json=IDLE if paths[-1] == "/queue" else {})

    async with server(answer) as comfy:
        server_monitor = ServerMonitor({A: comfy}, {A: NodeCache(comfy)})
        calls = [await server_monitor.poll(), await server_monitor.poll()]
        there = False
        calls.append(await server_monitor.poll())
        there = True
        calls.append(await server_monitor.poll())
    assert calls == [[], [], [A], []]
    assert paths.count("/object_info") == 2


async def test_a_workflow_is_offered_only_on_servers_that_may_run_it(
    folder: Path, program_logs: pytest.LogCaptureFixture
) -> None:
    allowed: dict[ServerName, tuple[str, ...] | None] = {A: None, B: ("oil", "oill")}
    known: dict[ServerName, Definitions] = {}
    catalog = Catalog(folder, [A, B], known.get, DISCORD, allowed.__getitem__)
    for name in ("oil", "ink", "pen"):
        write(folder, name)
    assert await catalog.look()
    assert set(catalog.workflows) == {"oil", "ink", "pen"}
    assert catalog.servers == {"ink": (A,), "pen": (A,)}
    allowed[A] = ("ink",)
    assert await catalog.look()
    assert catalog.servers == {"ink": (A,), "oil": (B,)}
    assert catalog.refused == {"pen": AllowedNowhere("pen")}
    assert not await catalog.look()


async def test_a_workflow_that_costs_money_is_offered_only_where_it_may(folder: Path) -> None:
    paint: dict[str, Json] = {**PAINT, "api_node": True}
    known = dict.fromkeys((A, B), Definitions({"Paint": paint, "Save": SAVE}))
    paying: set[ServerName] = set()
    catalog = Catalog(folder, [A, B], known.get, DISCORD, pays_on=paying.__contains__)
    write(folder, "oil", manifest='command = "oil"\nprice = 0.5')
    write(folder, "ink")
    await catalog.look()
    assert not catalog.workflows
    paying.add(B)
    assert await catalog.look()
    assert catalog.servers == {"oil": (B,)}
    assert "add price = " in reason_text(catalog.refused["ink"]), "nobody knows what it costs"
    known.clear()
    write(folder, "pen", manifest='command = "pen"\nprice = 0.5')
    assert await catalog.look()
    assert catalog.servers["pen"] == (B,), "also while no server has said what it has"
    paying.clear()
    assert await catalog.look()
    assert catalog.refused["pen"] == AllowedNowhere("pen")


def test_a_workflow_that_a_server_may_run_and_that_does_not_exist_is_a_sentence() -> None:
    allowed: dict[ServerName, tuple[str, ...] | None] = {A: None, B: ("oil", "oill")}
    (reason,) = unknown_workflows(allowed, ["ink", "oil"])
    assert reason_text(reason) == "“workflows” of the server b names “oill”, which does not exist; did you mean “oil”?"


async def test_a_job_that_names_a_model_is_for_the_servers_that_have_it(folder: Path) -> None:
    def has(*files: str) -> Definitions:
        loader: dict[str, Json] = {"input": {"required": {"ckpt_name": [list(files)]}}, "output": ["IMAGE"]}
        return Definitions({"Paint": loader, "Save": SAVE})

    write(folder, "oil", manifest='[slots.model]\nkind = "model"\nnode = "1"\ninput = "ckpt_name"')
    graph = (folder / "oil.json").read_text().replace('"inputs": {}', '"inputs": {"ckpt_name": "a"}')
    (folder / "oil.json").write_text(graph)
    known = {A: has("a", "both"), B: has("b", "both")}
    catalog = Catalog(folder, [A, B], known.get)
    await catalog.look()

    def placed(**values: Json) -> JobRequest:
        return catalog.placed(JobRequest(job=JobId("j"), workflow="oil", graph={}, folder="", values=values))

    assert (placed(model="b").servers, placed(model="b").has_model) == ((B,), True)
    for everywhere in (placed(), placed(model="both"), placed(model="nowhere"), placed(model="")):
        assert (everywhere.servers, everywhere.has_model) == ((A, B), False)
