"""The queue and the history as GET /api/jobs of newer versions shows them (0.33: T07_jobs_cancel, T12)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from msgspec import Struct

from app.ports import Json
from app.simulator.engine.queue import Item, Prompts

STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
_ENDS = {"execution_success", "execution_error", "execution_interrupted"}

_SHOWN_KINDS = {"images", "video", "audio", "3d", "text"}
"""The output keys whose items count as previewable, whatever their name is."""

_MODELS = {".obj", ".fbx", ".gltf", ".glb", ".usdz"}
_TEXTS = {".txt", ".md", ".json"}

MOST_TEXT = 1024
"""Characters of a text that a job quotes in `preview_output`."""

Job = dict[str, Json]


class JobQuery(Struct, frozen=True):
    """What GET /api/jobs asks for."""

    statuses: tuple[str, ...] = STATUSES
    by_duration: bool = False
    descending: bool = True
    limit: int | None = None
    offset: int = 0


def list_jobs(prompts: Prompts, query: JobQuery) -> Json:
    """Return the body of GET /api/jobs."""
    running = [] if prompts.running is None else [prompts.running]
    jobs = [_waiting(item, "in_progress") for item in running]
    jobs += [_waiting(item, "pending") for item in prompts.pending()]
    jobs += [_ended(prompt, entry) for prompt, entry in prompts.history.items()]
    jobs = [job for job in jobs if job["status"] in query.statuses]
    jobs.sort(key=_duration if query.by_duration else _created, reverse=query.descending)
    end = None if query.limit is None else query.offset + query.limit
    page: list[Json] = [*jobs[query.offset : end]]
    pagination: Json = {
        "offset": query.offset,
        "limit": query.limit,
        "total": len(jobs),
        "has_more": query.offset + len(page) < len(jobs),
    }
    return {"jobs": page, "pagination": pagination}


def describe_job(prompts: Prompts, prompt: str) -> Json:
    """Return the body of GET /api/jobs/{id}; None if there is no such job."""
    if prompt in prompts.history:
        entry = _table(prompts.history[prompt])
        item = entry["prompt"]
        graph, extra = (item[2], item[3]) if isinstance(item, list) else (None, None)
        return {
            **_ended(prompt, entry),
            "outputs": _named_outputs(_table(entry["outputs"])),
            "execution_status": entry["status"],
            "workflow": {"prompt": graph, "extra_data": extra},
        }
    if prompts.running is not None and prompts.running[1] == prompt:
        return _waiting(prompts.running, "in_progress")
    return next((_waiting(item, "pending") for item in prompts.pending() if item[1] == prompt), None)


def _waiting(item: Item, status: str) -> Job:
    number, prompt, _, extra, _ = item
    job: Job = {"id": prompt, "status": status, "priority": number, "create_time": extra.get("create_time")}
    return job | {"outputs_count": 0, "previewable_outputs_count": 0}


def _ended(prompt: str, entry: Json) -> Job:
    history = _table(entry)
    item, status = history["prompt"], _table(history["status"])
    number, extra = (item[0], _table(item[3])) if isinstance(item, list) else (0, dict[str, Json]())
    recorded = status.get("messages")
    messages = [
        (str(message[0]), _table(message[1]))
        for message in (recorded if isinstance(recorded, list) else ())
        if isinstance(message, list)
    ]
    kinds = {kind for kind, _ in messages}
    failed = "cancelled" if "execution_interrupted" in kinds else "failed"
    job: Job = {
        "id": prompt,
        "status": "completed" if status.get("status_str") == "success" else failed,
        "priority": number,
        "create_time": extra.get("create_time"),
    }
    for kind, data in messages:
        if kind == "execution_start":
            job["execution_start_time"] = data.get("timestamp")
        elif kind in _ENDS:
            job["execution_end_time"] = data.get("timestamp")
        if kind == "execution_error":
            job["execution_error"] = data
    outputs = list(_items(_table(history["outputs"])))
    job["outputs_count"] = sum(isinstance(item, dict) for _, _, item in outputs)
    job["previewable_outputs_count"] = sum(_is_shown(kind, item) for _, kind, item in outputs if isinstance(item, dict))
    if (shown := _preview(outputs)) is not None:
        job["preview_output"] = shown
    return job


def _preview(outputs: list[tuple[str, str, Json]]) -> Json:
    """Choose the output that stands for a job: a saved file, then a temporary one, then a text file, then a text."""
    ranked: list[tuple[int, Json]] = []
    for node, kind, item in outputs:
        if isinstance(item, dict):
            if _is_shown(kind, item):
                written = kind == "text" or _suffix(item) in _TEXTS
                rank = 2 if written else 0 if item.get("type") == "output" else 1
                ranked.append((rank, {"mediaType": kind, **item, "nodeId": node}))
        elif kind == "text":
            text = str(item)
            quoted: Job = {"content": text[:MOST_TEXT], "nodeId": node, "mediaType": kind}
            ranked.append((3, quoted | ({"truncated": True} if len(text) > MOST_TEXT else {})))
    return min(ranked, key=lambda candidate: candidate[0])[1] if ranked else None


def _items(outputs: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """Yield node, key and item of all outputs; a bare name of a 3D file becomes an item."""
    for node, shown in outputs.items():
        for kind, items in _table(shown).items():
            for item in items if isinstance(items, list) and kind != "animated" else ():
                yield node, kind, _named(item)


def _named_outputs(outputs: Mapping[str, Json]) -> Json:
    return {
        node: {
            kind: [_named(item) for item in items if item is not None] if isinstance(items, list) else items
            for kind, items in _table(shown).items()
        }
        for node, shown in outputs.items()
    }


def _named(item: Json) -> Json:
    """Return the item for a bare name of a 3D file: always in the output folder, which is wrong for some (T30)."""
    if isinstance(item, str) and PurePosixPath(item.lower()).suffix in _MODELS:
        return {"filename": item, "type": "output", "subfolder": "", "mediaType": "3d"}
    return item


def _is_shown(kind: str, item: Mapping[str, Json]) -> bool:
    form = str(item.get("format", ""))
    return kind in _SHOWN_KINDS or form.startswith(("video/", "audio/")) or _suffix(item) in _MODELS | _TEXTS


def _suffix(item: Mapping[str, Json]) -> str:
    return PurePosixPath(str(item.get("filename", "")).lower()).suffix


def _created(job: Job) -> float:
    created = job.get("create_time")
    return created if isinstance(created, (int, float)) else 0


def _duration(job: Job) -> float:
    start, end = job.get("execution_start_time"), job.get("execution_end_time")
    return end - start if isinstance(start, (int, float)) and isinstance(end, (int, float)) else 0


def _table(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
