"""3D models: the nodes that load, make, show and save them (0.33: T30_3d_real_nodes)."""

from __future__ import annotations

from pathlib import PurePosixPath

from app.ports import Json
from app.simulator.engine.cache import Result
from app.simulator.media import glb
from app.simulator.nodes.context import Call, NodeFailed
from app.simulator.nodes.types import File3D, Opaque


async def load(call: Call) -> Result:
    """Load3D and Load3DAdvanced: an uploaded file; the outputs about the view are blank."""
    name = call.words("model_file")
    path = call.context.files.annotated(name)
    if path is None:
        raise NodeFailed("FileNotFoundError", f"[Errno 2] No such file or directory: '/comfyui/input/{name}'")
    content = await call.context.run_sync(path.read_bytes)
    return Result((File3D(path.suffix, content), *_view(call)[1:]))


async def save_glb(call: Call) -> Result:
    """SaveGLB: a mesh as .glb, a file as what it is."""
    model = _model(call)
    prefix = call.words("filename_prefix", "3d/ComfyUI")
    entry = await call.context.run_sync(call.context.files.save, prefix, model.suffix, model.content)
    return Result((), {"3d": [dict[str, Json](entry)]})


async def save_advanced(call: Call) -> Result:
    """Save3DAdvanced: reports a bare name with its folder, under `result`."""
    model, files = _model(call), call.context.files
    prefix = call.words("filename_prefix", "3d/ComfyUI")
    entry = await call.context.run_sync(lambda: files.save(prefix, model.suffix, model.content, tail=""))
    name = str(PurePosixPath(entry["subfolder"], entry["filename"]))
    return Result(_view(call), {"result": [name, None, list[Json]()]})


async def preview(call: Call) -> Result:
    """Preview3D: saves to output, and reports the bare name under `result`."""
    return Result((), {"result": [await _show(call, "preview3d", "output"), None, None]})


async def preview_advanced(call: Call) -> Result:
    """Preview3DAdvanced: saves to temp, and reports the bare name under `result`."""
    shown: list[Json] = [await _show(call, "preview3d_advanced", "temp"), None, list[Json]()]
    return Result(_view(call), {"result": shown})


async def _show(call: Call, prefix: str, folder: str) -> str:
    model, files = _model(call), call.context.files
    name = f"{prefix}_{call.context.rng.getrandbits(128):032x}{model.suffix}"
    await call.context.run_sync(lambda: files.upload(model.content, name, "", folder, overwrite=True))
    return name


def _model(call: Call) -> File3D:
    return call.first(File3D) or File3D(".glb", glb.encode())


def _view(call: Call) -> tuple[File3D, Opaque, Opaque, int, int]:
    """The outputs of the classes with a viewport: the model, what is known of it, the camera, and the size."""
    size = call.whole("width", 1024), call.whole("height", 1024)
    return _model(call), Opaque("LOAD3D_MODEL_INFO"), Opaque("LOAD3D_CAMERA"), *size
