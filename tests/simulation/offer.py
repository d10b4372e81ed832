"""The workflows that this world's bot offers, and the servers that can run each."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from app.config.settings import Server
from app.events import NodeId, ServerName
from app.ports import Graph, Json
from app.reasons import Reason
from app.service.offers.catalog import Catalog
from app.service.requests import AttachedFile
from app.workflows.binding.batch import COUNT, MOST
from app.workflows.load import Workflow
from app.workflows.model import Slot, Target
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import Finding
from app.workflows.offers.availability import Offer
from app.workflows.reasons.checks import MissingClass
from tests.simulation.plan import Ending, Want

LONGEST_STEP = 60.0
"""Seconds; the simulator's node takes no more."""

LARGEST_COLOUR = 2**24 - 1

NODES = Definitions({})
"""What a server says that it has; `UNABLE` is what an audit finds of it where it cannot run a workflow."""

UNABLE = (Finding("error", "Sampler", MissingClass("Sampler", "BotTestSleep", "")),)

MANY = 12
"""Pictures of a job that makes many: one message takes ten."""


def picture(prefix: str, color: int, seconds: float, steps: int, *, previews: bool = False) -> Graph:
    """A prompt that takes so long. Another colour makes another picture, which no cache has.

    The colour is a seed: `tests.simulation.pictures` has the server draw it. No server knows the input with the number
    of pictures; the bot makes a batch of it.
    """
    steps = max(steps, math.ceil(seconds / LONGEST_STEP))
    sleep: dict[str, Json] = {"image": ["1", 0], "steps": steps, "seconds": seconds / steps, "previews": previews}
    sleep |= {"preview_size": 64, "ckpt_name": ""}
    return {
        "1": {"class_type": "EmptyImage", "inputs": _size(8) | {"seed": color}},
        "5": {
            "class_type": "BotTestSleep",
            "inputs": sleep,
            "_meta": {"title": "Sampler"},
        },
        "7": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": prefix, COUNT: 1}},
    }


def _size(width: int, height: int = 8) -> dict[str, Json]:
    return {"width": width, "height": height, "batch_size": 1, "color": 0}


def name_of(want: Want, servers: Sequence[ServerName]) -> str:
    """The workflow that makes what somebody wants."""
    where = "" if want.server is None else f"-{want.server % len(servers)}"
    return f"{want.ending}-{want.result}{where}"


def ending_of(workflow: str) -> Ending:
    """How the jobs of a workflow end on a server that is left in peace."""
    told = workflow.partition("-")[0]
    return "breaks" if told == "breaks" else "refused" if told == "refused" else "well"


def streams(workflow: str) -> bool:
    """Whether its pictures come through the websocket."""
    return "-streamed" in workflow


def files_of(want: Want) -> tuple[AttachedFile, ...]:
    """What a person attaches to the command."""
    return (AttachedFile("photo", "", "photo.png", 100, "image/png"),) if want.result == "edited" else ()


def values_of(want: Want, number: int, color: int) -> dict[str, Json]:
    """What a person puts into the command's options."""
    steps = max(want.steps, math.ceil(want.seconds / LONGEST_STEP))
    told = f"{'large' if want.large else 'small'} {number}"
    values: dict[str, Json] = {"prompt": told, "seed": color, "steps": steps, "seconds": want.seconds / steps}
    values |= {COUNT: want.count} if want.count > 1 else {}
    return values | {"previews": want.previews, "model": want.model}


_Read: TypeAlias = tuple[
    Mapping[str, Workflow],
    Mapping[str, tuple[ServerName, ...]],
    Mapping[str, Reason],
    Mapping[str, Workflow],
    dict[str, tuple[ServerName, ...]],
]


class Folder:
    """The workflows, and which of all servers can run each."""

    def __init__(self, servers: Sequence[ServerName]) -> None:
        self._servers = servers
        self.workflows: dict[str, Workflow] = {}
        self.able: dict[str, tuple[ServerName, ...]] = {}
        """The servers that can run a workflow, if not all of them."""
        self._read: dict[object, _Read] = {}
        """What a catalog made of the folder, by what the servers may and can run: most lives of a bot begin alike."""
        for want in WANTS:
            for number in (None, *range(len(servers))):
                name = name_of(Want(0.0, ending=want.ending, result=want.result, server=number), servers)
                self.workflows[name] = _workflow(name, want)
                if number is not None:
                    self.able[name] = (servers[number],)

    def read(self, catalog: Catalog, configured: Mapping[ServerName, Server], known: Collection[ServerName]) -> None:
        """Do what `Catalog.look` does where the `known` servers have said which nodes they have."""
        permitted = {name: server.workflows for name, server in configured.items()}
        if permitted == catalog._permitted and catalog._known.keys() == known and catalog.workflows:
            return
        catalog._permitted, catalog._known = permitted, dict.fromkeys(known, NODES)
        key = tuple(permitted.items()), frozenset(known)
        if (read := self._read.get(key)) is None:
            catalog._take(self._offers(known), known)
            self._read[key] = catalog.workflows, catalog.servers, catalog.refused, catalog.readable, catalog._able
            return
        catalog.workflows, catalog.servers, catalog.refused, catalog.readable, catalog._able = read

    def _offers(self, known: Collection[ServerName]) -> list[Offer]:
        return [
            Offer(
                name=name,
                workflow=workflow,
                findings={server: () if server in self.able.get(name, known) else UNABLE for server in known},
            )
            for name, workflow in self.workflows.items()
        ]


def _workflow(name: str, want: Want) -> Workflow:
    graph, colors = _graph(want)
    slots = (
        Slot(name="prompt", title="Prompt", kind="text", targets=(_target("5", "label"), *_prefixes(graph))),
        Slot(name="seed", title="Seed", kind="seed", targets=colors, minimum=0, maximum=LARGEST_COLOUR),
        Slot(name="steps", title="Steps", kind="integer", targets=(_target("5", "steps"),), minimum=1),
        Slot(name="seconds", title="Seconds", kind="number", targets=(_target("5", "seconds"),), minimum=0),
        Slot(name=COUNT, title="Pictures", kind="integer", targets=(_target("7", COUNT),), minimum=1, maximum=MOST),
        Slot(name="model", title="Model", kind="text", targets=(_target("5", "ckpt_name"),)),
        Slot(name="previews", title="Previews", kind="boolean", targets=(_target("5", "previews"),)),
        *(
            [Slot(name="photo", title="Photo", kind="image", targets=(_target("10", "image"),))]
            if "10" in graph
            else []
        ),
    )
    return Workflow(name=name, title=name, graph=graph, command=name, slots=slots)


def _graph(want: Want) -> tuple[Graph, tuple[Target, ...]]:
    graph = copy.deepcopy(picture("", 0, 8.0, 4))
    colors = [_target("1", "seed")]
    match want.ending:
        case "breaks":
            graph["6"] = {"class_type": "BotTestRaise", "inputs": {"image": ["5", 0], "message": "boom"}}
            graph["7"]["inputs"] = {"images": ["6", 0], "filename_prefix": "", COUNT: 1}
        case "refused":
            graph["1"]["inputs"] = _size(0) | {"seed": 0}
        case "well" if want.result == "streamed":
            graph["7"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["5", 0], COUNT: 1}}
        case "well" if want.result == "edited":
            graph["10"] = {"class_type": "LoadImage", "inputs": {"image": ""}}
            graph["11"] = {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}}
            graph["12"] = {"class_type": "PreviewAny", "inputs": {"source": "a text"}}
        case "well" if want.result == "two":
            graph["8"] = {"class_type": "EmptyImage", "inputs": _size(16) | {"seed": 0}}
            graph["9"] = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": ""}}
            colors.append(_target("8", "seed"))
        case "well" if want.result == "many":
            for number in range(MANY - 1):
                first, saver = str(20 + 2 * number), str(21 + 2 * number)
                graph[first] = {"class_type": "EmptyImage", "inputs": _size(16 + 8 * number) | {"seed": 0}}
                graph[saver] = {"class_type": "SaveImage", "inputs": {"images": [first, 0], "filename_prefix": ""}}
                colors.append(_target(first, "seed"))
        case "well":
            pass
    return graph, tuple(colors)


def _prefixes(graph: Graph) -> list[Target]:
    return [_target(node, "filename_prefix") for node, entry in graph.items() if entry["class_type"] == "SaveImage"]


def _target(node: str, name: str) -> Target:
    return Target(NodeId(node), name)


WANTS = (
    Want(0.0),
    Want(0.0, result="two"),
    Want(0.0, result="streamed"),
    Want(0.0, result="edited"),
    Want(0.0, result="many"),
    Want(0.0, ending="breaks"),
    Want(0.0, ending="refused"),
)
"""One of each kind of workflow."""


def offered(servers: Sequence[ServerName]) -> Mapping[str, Workflow]:
    """The table of workflows alone."""
    return Folder(servers).workflows
