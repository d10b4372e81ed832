"""Routes for people who are logged in, and for forms that come from the page itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.core.journal_port import JournalUnavailable
from app.http.page.context import visit_of
from app.http.page.forms import comes_from_here
from app.http.page.parts import PageParts
from app.http.page.rendering import render_problem
from app.service.people.viewer import Viewer
from app.service.reasons import JobRemoved, ResultNotKept
from app.texts import page as texts
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def for_viewers(handler: Callable[[Request, Viewer], Awaitable[Response]]) -> Endpoint:
    """A route for who is logged in: others get the login page.

    A form that does not come from the page itself is refused. Refusals (`WorkflowError`) become a page with one
    sentence.
    """

    async def answer(request: Request) -> Response:
        visit = visit_of(request)
        if visit.context.parts is None:
            return render_problem(request, texts.STARTING, 503)
        if visit.context.everything:
            # Forms need a session, and nobody logs in.
            visit.ensure_session()
        elif not visit.person:
            return _ask_to_log_in(request)
        if not await comes_from_here(request):
            return render_problem(request, texts.FORM_NOT_OURS, 403)
        viewer = Viewer("", everything=True) if visit.context.everything else Viewer(visit.person)
        try:
            return await handler(request, viewer)
        except WorkflowError as error:
            return render_problem(request, reason_text(error.reason), _status(error))
        except JournalUnavailable:
            return render_problem(request, texts.JOURNAL_UNAVAILABLE, 503)

    return answer


def parts_of(request: Request) -> PageParts:
    """What the page works with, in a route that `for_viewers` has let pass."""
    parts = visit_of(request).context.parts
    if parts is None:
        raise HTTPException(503)
    return parts


def for_own_forms(handler: Endpoint) -> Endpoint:
    """A route for everybody, to which only forms of the page itself may be sent."""

    async def answer(request: Request) -> Response:
        if not await comes_from_here(request):
            return render_problem(request, texts.FORM_NOT_OURS, 403)
        return await handler(request)

    return answer


def _ask_to_log_in(request: Request) -> Response:
    """Lead somebody who opens a page to the login; what a page asks for itself is only refused."""
    base = visit_of(request).context.address.base
    if request.method not in {"GET", "HEAD"} or "text/html" not in request.headers.get("accept", "text/html"):
        return render_problem(request, texts.LOGGED_OUT, 401)
    if request.headers.get("hx-request") == "true":
        return Response(None, 401, {"HX-Redirect": f"{base}/login"})
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{base}/login?next={quote(wanted, safe='')}", 303)


def _status(error: WorkflowError) -> int:
    match error.reason:
        case JobRemoved():
            return 404
        case ResultNotKept():
            return 410
        case _:
            return 409


def sentence_of(error: HTTPException) -> str:
    """What somebody reads instead of the name of an HTTP status."""
    match error.status_code:
        case 404 | 405:
            return texts.NO_SUCH_PAGE
        case 413:
            return texts.TOO_LARGE
        case 429:
            return texts.TOO_MANY
        case 503:
            return texts.STARTING
        case _:
            return texts.NOT_UNDERSTOOD
