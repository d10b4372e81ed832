"""Renders templates. They have the structure and no words; whatever they show is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.http.page.context import visit_of
from app.texts import page as texts

FOLDER = Path(__file__).parent / "templates"

PRIVATE = "private, no-cache"
"""What a page shows depends on who looks at it, and on when."""


@cache
def environment() -> Environment:
    """The templates, compiled when they are used for the first time."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["texts"] = texts  # pyright: ignore[reportArgumentType]  a module is a namespace
    return made


def render(request: Request, template: str, status: int = 200, **values: object) -> Response:
    """The page that a template makes of these values.

    Each template also has `texts`, the path `base` that the addresses of the page begin with, `static(name)` for the
    address of a static file, `csrf` for forms, the id of the `person` who looks and their `name`, "" if nobody is
    logged in, and `everything` if everybody sees everything. The header marks the `section` ("gallery", "queue"), and
    shows what was searched for (`search`).
    """
    made: Template = environment().get_template(template)
    visit = visit_of(request)
    context, session = visit.context, visit.session
    values = {"section": "", "search": ""} | values
    text = made.render(
        base=context.address.base,
        static=context.static.address,
        csrf=visit.csrf_token,
        person=visit.person,
        name=session.name if session is not None else "",
        everything=context.everything,
        **values,
    )
    return HTMLResponse(text, status, {"Cache-Control": PRIVATE, "Vary": "Cookie, HX-Request"})


def render_problem(request: Request, sentence: str, status: int) -> Response:
    """A page that is one sentence, or only this sentence for a part of a page that htmx replaces."""
    is_part = request.headers.get("hx-request") == "true"
    return render(request, "problem_part.html" if is_part else "problem.html", status, sentence=sentence)
