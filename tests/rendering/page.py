"""A message or a form, as JSON that was sent to Discord, as an HTML page that looks about as Discord would show it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tests.discord.fake.wire import EPHEMERAL, Payload, inner, items
from tests.rendering.markdown import html

STYLE = (Path(__file__).parent / "style.css").read_text()

NOTICE = "Drawn by Atelier’s own renderer from what the bot sends. This is not Discord."

BUTTONS = {1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link"}


@dataclass(frozen=True)
class Scene:
    """One moment: a message, or a form, that the bot sent, and what somebody did before it.

    `content` returns the file at an attachment's address; `people` are names by id; `now` is in seconds since 1970.
    """

    payload: Payload
    did: str
    content: Callable[[str], bytes]
    person: str = "mira"
    people: Mapping[str, str] = field(default_factory=dict[str, str])
    now: float = 0.0

    @property
    def is_form(self) -> bool:
        """Whether it is a modal form."""
        return "title" in self.payload


def page(scene: Scene) -> str:
    """The whole page."""
    body = _form(scene) if scene.is_form else _message(scene)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Atelier</title><style>{STYLE}</style>'
        f"</head><body>{body}<footer>{NOTICE}</footer></body></html>"
    )


def _message(scene: Scene) -> str:
    message = scene.payload
    alone = ""
    if message["flags"] & EPHEMERAL:
        alone = '<div class="alone">👁 Only you can see this · <a>Dismiss message</a></div>'
    parts = "".join(_component(scene, part) for part in message["components"])
    did = f'<div class="did"><i></i><b>{escape(scene.person)}</b> {html(scene.did, {}, 0)}</div>'
    head = '<div class="author"><b>Atelier</b><span class="app">APP</span><time>Today at 14:32</time></div>'
    return f'<main>{did}<div class="avatar">A</div>{head}{parts}{alone}</main>'


def _component(scene: Scene, part: Payload) -> str:
    match part["type"]:
        case 1:
            return f'<div class="row">{"".join(_component(scene, each) for each in part["components"])}</div>'
        case 2:
            return _button(part)
        case 3:
            return f'<div class="select">{escape(_chosen(part))}<i>⌄</i></div>'
        case 9:
            texts = "".join(_component(scene, each) for each in part["components"])
            return f'<section><div class="texts">{texts}</div>{_component(scene, part["accessory"])}</section>'
        case 10:
            return f'<div class="text">{html(part["content"], scene.people, scene.now)}</div>'
        case 11:
            return f'<div class="thumbnail">{_picture(scene, part)}</div>'
        case 12:
            pictures = "".join(f"<figure>{_picture(scene, item)}</figure>" for item in part["items"])
            return f'<div class="gallery of-{len(part["items"])}">{pictures}</div>'
        case 13:
            return _file(scene, part)
        case 14:
            return "<hr>"
        case 17:
            accent = part.get("accent_color")
            edge = f' style="--edge: #{accent:06x}"' if accent is not None else ""
            inside = "".join(_component(scene, each) for each in part["components"])
            return f'<article{edge} class="{"coloured" if edge else "plain"}">{inside}</article>'
        case kind:
            raise ValueError(f"components of type {kind} cannot be drawn")


def _chosen(select: Payload) -> str:
    chosen = next((option["label"] for option in select["options"] if option.get("default")), None)
    return str(chosen or select.get("placeholder") or "Make a selection")


def _button(button: Payload) -> str:
    emoji = inner(button, "emoji").get("name")
    mark = f'<span class="emoji">{escape(emoji)}</span>' if emoji else ""
    disabled = " disabled" if button.get("disabled") else ""
    return f'<button class="{BUTTONS[button["style"]]}"{disabled}>{mark}{escape(button.get("label") or "")}</button>'


def _picture(scene: Scene, item: Payload) -> str:
    content = scene.content(_address(scene, item["media"]["url"]))
    data = base64.b64encode(content).decode()
    alt = f' alt="{escape(item["description"])}"' if item.get("description") else ""
    return f'<img src="data:{_kind(content)};base64,{data}"{alt}{" class=spoiler" if item.get("spoiler") else ""}>'


def _kind(content: bytes) -> str:
    """The media type of a picture."""
    if content.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if content[8:12] == b"WEBP" else "image/jpeg"


def _address(scene: Scene, url: str) -> str:
    """The address of a file, which a message may name as one of its own."""
    name = url.removeprefix("attachment://")
    if name == url:
        return url
    return next(str(item["url"]) for item in scene.payload["attachments"] if item["filename"] == name)


def _file(scene: Scene, part: Payload) -> str:
    url = _address(scene, part["file"]["url"])
    size = len(scene.content(url))
    name = url.partition("?")[0].rpartition("/")[2]
    shown = f"{size / 1000:.2f} KB" if size >= 1000 else f"{size} bytes"
    return f'<div class="file"><i>📄</i><div><a>{escape(name)}</a><small>{shown}</small></div></div>'


def _form(scene: Scene) -> str:
    form = scene.payload
    fields = "".join(_field(part) for part in form["components"])
    warning = "⚠ This form will be submitted to <b>Atelier</b>. Do not share passwords or other sensitive information."
    return (
        f'<main class="modal"><h1>{escape(form["title"])}<i>✕</i></h1><div class="warning">{warning}</div>{fields}'
        '<div class="end"><button class="secondary">Cancel</button><button class="primary">Submit</button></div></main>'
    )


def _field(part: Payload) -> str:
    if part["type"] == 10:
        return f'<div class="text">{html(part["content"], {}, 0)}</div>'
    component = part["component"] if part["type"] == 18 else items(part, "components")[0]
    label = part["label"] if part["type"] == 18 else component["label"]
    star = ' <b class="star">*</b>' if component.get("required", True) else ""
    described = f"<small>{escape(part['description'])}</small>" if part.get("description") else ""
    return f"<label><span>{escape(label)}{star}</span>{described}{_entry(component)}</label>"


def _entry(component: Payload) -> str:
    match component["type"]:
        case 4 if component.get("style") == 2:
            value = escape(component.get("value") or "")
            rows = max(2, min(10, value.count("\n") + 1 + len(value) // 70))
            hint = escape(component.get("placeholder") or "")
            return f'<textarea rows="{rows}" placeholder="{hint}">{value}</textarea>'
        case 4:
            hint = escape(component.get("placeholder") or "")
            return f'<input value="{escape(component.get("value") or "")}" placeholder="{hint}">'
        case 3:
            return f'<div class="select">{escape(_chosen(component))}<i>⌄</i></div>'
        case 19:
            return '<div class="upload"><i>⇪</i>Drop a file here, or <a>browse</a></div>'
        case 21 | 22:
            kind = "radio" if component["type"] == 21 else "tick"
            return f'<div class="options">{"".join(_tickable(option, kind) for option in component["options"])}</div>'
        case 23:
            return f'<div class="options">{_tickable({"label": "", **component}, "tick")}</div>'
        case kind:
            raise ValueError(f"fields of type {kind} cannot be drawn")


def _tickable(option: Payload, kind: str) -> str:
    mark = f'<i class="{kind}{" on" if option.get("default") else ""}"></i>'
    described = f"<small>{escape(option['description'])}</small>" if option.get("description") else ""
    return f'<div class="option">{mark}<span>{escape(option["label"])}{described}</span></div>'
