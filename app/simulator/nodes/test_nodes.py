"""The test nodes of the measured servers: they sleep, fail, block, expand and send extra frames on request.

Those of 0.33 differ in details from those of 0.3.64.
"""

from __future__ import annotations

import anyio
import msgspec

from app.ports import Json
from app.simulator.art import painter
from app.simulator.engine.cache import Result
from app.simulator.http import binary_frames
from app.simulator.nodes import save
from app.simulator.nodes.context import Call, Expansion, NodeFailed
from app.simulator.nodes.types import Blocked, Images

OUT_OF_MEMORY = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might"
    " have accidentally set the batch_size to a large number."
)
"""The text that ComfyUI adds to an out-of-memory error (T06)."""


FILM_RATE = 8.0
"""Frames per second of the file that the test node for VHS writes, as recorded (T04)."""


GRAIN = 128
"""Pixels of noise that are scaled up to a preview; with more, the JPEG would be larger than the recorded ones (T15)."""


async def sleep(call: Call) -> Result:
    """BotTestSleep: waits the given seconds in each of the given steps, with previews on request."""
    steps = call.whole("steps", 10)
    image: bytes | None = None
    if call.inputs.get("previews"):
        side = min(call.whole("preview_size", 64), GRAIN)
        image = await call.context.run_sync(painter.noise, call.context.rng.randbytes(3 * side * side), side)
    for step in range(1, steps + 1):
        await anyio.sleep(call.number("seconds", 0.2) * call.context.pace)
        await call.step(step, steps, image)
    return _through(call)


async def sleep_deaf(call: Call) -> Result:
    """BotTestBlockingSleep: cannot be interrupted."""
    await anyio.sleep(call.number("seconds", 5.0) * call.context.pace)
    return _through(call)


async def fail(call: Call) -> Result:
    """BotTestRaise."""
    raise NodeFailed("ValueError" if call.context.version.modern else "RuntimeError", call.words("message", "boom"))


async def exhaust(call: Call) -> Result:
    """BotTestOOM."""
    raise NodeFailed("torch.OutOfMemoryError", call.words("message", "boom"))


async def block(call: Call) -> Result:
    """BotTestBlock: an ExecutionBlocker, with or without a message."""
    return Result((Blocked(call.words("message") or None),))


async def expand(call: Call) -> Expansion:
    """BotTestExpand: expands into two nodes with ids such as "2.0.0.1"."""
    first, second = f"{call.node}.0.0.1", f"{call.node}.0.0.2"
    source = call.graph[call.node]["inputs"]
    image: Json = source["image"] if isinstance(source, dict) else None
    slow: dict[str, Json] = {
        "image": [first, 0],
        "steps": 5 if call.context.version.modern else 3,
        "seconds": 0.05,
        "previews": False,
        "preview_size": 64,
    }
    return Expansion(
        {
            first: {"class_type": "ImageInvert", "inputs": {"image": image}},
            second: {"class_type": "BotTestSleep", "inputs": slow},
        },
        ((second, 0),),
    )


async def chatter(call: Call) -> Result:
    """BotTestChatter: sends frames of custom nodes, some to all clients, some to its own (T08, T22)."""
    sockets = call.context.sockets
    sockets.say("notification", {"id": "bot-test", "message": "hello"}, None)
    sockets.say("bot_test.weird", ["a", "list", "as", "data"], None)
    sockets.say("bot_test.null", None, call.client)
    sockets.push(binary_frames.progress_text(call.node, "some text from the node"), None)
    sockets.push(binary_frames.progress_text(call.node, "addressed text"), call.client)
    sockets.push(binary_frames.custom(99, b"\x00\x01\x02custom"), call.client)
    return _through(call)


async def films(call: Call) -> Result:
    """BotTestVHS: the outputs of VHS_VideoCombine, which have their own key and form."""
    content = await call.context.run_sync(save.webp, call.pictures(), FILM_RATE)
    entry = call.context.files.save(call.words("filename_prefix", "vhs"), ".webp", content, tail="")
    name = entry["filename"]
    details: dict[str, Json] = {
        "format": "image/webp",
        "frame_rate": FILM_RATE,
        "workflow": name.replace(".webp", ".png"),
    }
    return Result((), {"gifs": [{**entry, **details, "fullpath": f"/comfyui/output/{name}"}]})


async def show(call: Call) -> Result:
    """BotTestUI: shows the given JSON as its outputs."""
    shown: Json = msgspec.json.decode(call.words("ui", "{}"))
    return Result((), shown if isinstance(shown, dict) else {})


async def oddities(call: Call) -> Result:
    """BotTestOddOutput: odd outputs that a client must survive (T04)."""
    images: list[Json] = [
        {"filename": "does_not_exist.png", "subfolder": "", "type": "output"},
        {"filename": "no_type.png"},
        {"filename": "../../etc/passwd", "subfolder": "..", "type": "output"},
        "plain string",
    ]
    return Result(
        (),
        {
            "text": ["hello", "world"],
            "number": [42],
            "nothing": [None],
            "bool": [True],
            "tags": ["a"],
            "images": images,
        },
    )


def _through(call: Call) -> Result:
    return Result((Images(call.pictures()),))
