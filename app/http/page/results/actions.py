"""What people do with jobs on the page: forms that work without scripts, and lead to the page of the new job."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.http.page.context import PageContext
from app.http.page.forms import form_of
from app.http.page.guard import for_viewers, parts_of
from app.http.page.rendering import render
from app.http.page.results.picture import PicturePart, Tried
from app.http.page.results.searching import Search, read_search
from app.http.page.results.tiles import tile_views
from app.service.page_actions import PageActions
from app.service.people.viewer import Viewer
from app.service.reasons import JobRemoved
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError

FIELD = "field."
"""How the names of an action's own fields begin in its form."""

LONGEST_VERB = 64
"""Characters of a verb or a workflow's name."""


class ActionsPart:
    """Carries out actions, and asks before something is deleted."""

    def __init__(self, context: PageContext, picture: PicturePart) -> None:
        self._context = context
        self._picture = picture

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of what can be done with a job."""
        return [
            Route("/jobs/{job}/do", for_viewers(self._press), methods=["POST"]),
            Route("/jobs/{job}/delete", for_viewers(self._delete), methods=["GET", "POST"]),
        ]

    async def _press(self, request: Request, viewer: Viewer) -> Response:
        parts, form = parts_of(request), await form_of(request)
        job = await parts.gallery.job(viewer, request.path_params["job"])
        actions = _available(parts.actions, viewer)
        verb, workflow = form.get("verb", "")[:LONGEST_VERB], form.get("workflow", "")[:LONGEST_VERB]
        number, result = _whole(form.get("number", "")), _whole(form.get("result", ""))
        fields = {name.removeprefix(FIELD): value for name, value in form.items() if name.startswith(FIELD)}
        try:
            if verb == "cancel":
                made = await actions.cancel(viewer.person, job.id)
            else:
                made = await actions.press(
                    viewer.person, job, verb, number=number, result=result, workflow=workflow, fields=fields
                )
        except WorkflowError as error:
            if isinstance(error.reason, JobRemoved):
                raise
            tried = Tried(verb, number, result, workflow, fields, reason_text(error.reason))
            return await self._picture.show(request, viewer, job, tried)
        if verb == "keep":
            kept = read_search(request.query_params).address(f"{self._context.address.base}/jobs/{job.id}", kept="1")
            return RedirectResponse(kept, 303)
        return RedirectResponse(f"{self._context.address.base}/jobs/{made or job.id}", 303)

    async def _delete(self, request: Request, viewer: Viewer) -> Response:
        parts = parts_of(request)
        job = await parts.gallery.job(viewer, request.path_params["job"])
        actions = _available(parts.actions, viewer)
        sentence = ""
        if request.method == "POST":
            try:
                await actions.delete(viewer.person, job.id)
            except WorkflowError as error:
                sentence = reason_text(error.reason)
            else:
                return RedirectResponse(f"{self._context.address.base}/", 303)
        tile = await parts.gallery.tile(viewer, job.id)
        tiles = await tile_views(self._context, viewer, parts, Search(), [tile] if tile is not None else [])
        status = 409 if sentence else 200
        return render(request, "delete.html", status, section="gallery", job=job.id, problem=sentence, tiles=tiles)


def _available(actions: PageActions | None, viewer: Viewer) -> PageActions:
    if actions is None or viewer.everything:
        raise HTTPException(404)
    return actions


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
