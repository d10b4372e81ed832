"""The HTTP routes that only newer versions have: jobs, node replacements, assets (0.33: T07_jobs_cancel, T12)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.ports import Json
from app.simulator.engine.jobs import STATUSES, JobQuery, describe_job, list_jobs
from app.simulator.engine.simulator import Simulator
from app.simulator.engine.worker import is_canonical
from app.simulator.http.prompt_routes import Route, answer, body_of

REPLACEMENTS = Path(__file__).parents[1] / "nodes" / "replacements_0.33.json"
"""The recorded answer of /node_replacements; the simulator does not apply them."""

NO_ASSETS: Json = {
    "error": {
        "code": "SERVICE_DISABLED",
        "message": "Assets system is disabled. Start the server with --enable-assets to use this feature.",
        "details": {},
    }
}


class JobRoutes:
    """The routes of newer versions; an older version answers 404 to all of them."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._worker = simulator.worker
        self._prompts = simulator.worker.prompts

    def routes(self) -> list[Route]:
        """Return all routes; those for jobs and assets exist only below /api."""
        routes: list[Route] = [
            ("GET", "/jobs", self._list),
            ("GET", "/jobs/{prompt}", self._describe),
            ("POST", "/jobs/cancel", self._cancel_several),
            ("POST", "/jobs/{prompt}/cancel", self._cancel),
            ("GET", "/assets", self._assets),
            ("GET", "/node_replacements", self._replacements),
        ]
        return [(method, path, self._of_newer(respond)) for method, path, respond in routes]

    def _of_newer(self, respond: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The route, with the answer of an older version while the simulator acts as one."""

        async def answered(request: Request) -> Response:
            return await respond(request) if self._simulator.version.modern else Response(status_code=404)

        return answered

    async def _list(self, request: Request) -> Response:
        query = _parse(request.query_params)
        return _wrong(query) if isinstance(query, str) else answer(list_jobs(self._prompts, query))

    async def _describe(self, request: Request) -> Response:
        job = describe_job(self._prompts, request.path_params["prompt"])
        return answer({"error": "Job not found"}, 404) if job is None else answer(job)

    async def _cancel(self, request: Request) -> Response:
        return answer({"cancelled": self._worker.cancel(request.path_params["prompt"])})

    async def _cancel_several(self, request: Request) -> Response:
        try:
            body = await body_of(request)
        except msgspec.DecodeError:
            return _wrong("Request body must be valid JSON")
        prompts = body.get("job_ids") if isinstance(body, dict) else None
        if not isinstance(prompts, list):
            return _wrong("job_ids must be a list")
        invalid: list[Json] = [
            prompt if isinstance(prompt, str) else repr(prompt) for prompt in prompts if not is_canonical(prompt)
        ]
        if invalid:
            return answer({"error": "job_ids contains invalid id(s)", "invalid_ids": invalid}, 400)
        cancelled = [self._worker.cancel(str(prompt)) for prompt in prompts]
        return answer({"cancelled": any(cancelled)})

    async def _assets(self, _: Request) -> Response:
        return answer(NO_ASSETS, 503)

    async def _replacements(self, _: Request) -> Response:
        content: Json = msgspec.json.decode(REPLACEMENTS.read_bytes())
        return answer(content)


def _parse(query: Mapping[str, str]) -> JobQuery | str:
    """Parse the parameters of GET /api/jobs; a text says what is wrong with them."""
    statuses = tuple(status.strip().lower() for status in query.get("status", "").split(",") if status.strip())
    unknown = [status for status in statuses if status not in STATUSES]
    if unknown:
        return f"Invalid status value(s): {', '.join(unknown)}. Valid values: {', '.join(STATUSES)}"
    sort_by, order = query.get("sort_by", "created_at").lower(), query.get("sort_order", "desc").lower()
    if sort_by not in {"created_at", "execution_duration"}:
        return "sort_by must be 'created_at' or 'execution_duration'"
    if order not in {"asc", "desc"}:
        return "sort_order must be 'asc' or 'desc'"
    numbers: dict[str, int] = {}
    for name in ("limit", "offset"):
        try:
            numbers |= {name: int(query[name])} if name in query else {}
        except ValueError:
            return f"{name} must be an integer"
    limit = numbers.get("limit")
    if limit is not None and limit <= 0:
        return "limit must be a positive integer"
    return JobQuery(
        statuses or STATUSES, sort_by == "execution_duration", order == "desc", limit, max(0, numbers.get("offset", 0))
    )


def _wrong(words: str) -> Response:
    return answer({"error": words}, 400)
