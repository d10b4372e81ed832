"""Reads a server's node definitions (`/object_info`); each class is parsed when it is first asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias, TypeVar

from msgspec import DecodeError, Raw, Struct, json
from msgspec.structs import replace

from app.ports import Json
from app.workflows.nodes.replacements import REPLACEMENTS, Replacement

T = TypeVar("T")

WIDGETS = frozenset(
    {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3", "COLOR", "MARKDOWN", "TEXTAREA"}
)
"""Types that the editor shows as a field on the node. All others are sockets, unless a node's `widgetType` differs."""

DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
"""A list whose choice determines which further fields the node has; these are named `field.further`."""

GROWING = "COMFY_AUTOGROW_V3"
"""A group of sockets that grows as sockets are connected; its members are named `group.member`."""

DYNAMIC = frozenset({DYNAMIC_COMBO, GROWING, "COMFY_DYNAMICSLOT_V3"})
"""Types of inputs that bring further inputs."""

OWN_CHOICES = "CustomCombo"
"""The class of a list whose choices are fields of the node. The server has none of them, and checks no value."""

MOST_MEMBERS = 100
"""The server's limit for the members of a group."""

Uploaded: TypeAlias = Literal["", "image", "video", "audio"]

UPLOADS: dict[str, Uploaded] = {
    "image_upload": "image",
    "animated_image_upload": "image",
    "video_upload": "video",
    "audio_upload": "audio",
    "file_upload": "",
}
"""Options that mark a list of the files in the server's input folder, to which an upload adds; the kind of file."""


ENDLESS = 1e300
"""A limit of this size or more counts as no limit; its digits would not fit in a message."""


class Input(Struct, frozen=True, kw_only=True):
    """One input of a class. `type` is "COMBO" also for lists in the older form."""

    name: str
    type: str
    required: bool
    options: dict[str, Json] = {}
    choices: tuple[Json, ...] | None = None
    """The values of a list; None if the server gives no list (the values may come from elsewhere)."""

    @property
    def default(self) -> Json:
        """The value in a new node: the input's default, else the first value of its list, else None."""
        return self.options.get("default", next(iter(self.choices or ()), None))

    @property
    def is_widget(self) -> bool:
        """Whether the editor shows a field for the input, and so writes a value to the file."""
        # Only inputs that have a field say whether they also have a socket.
        return not self.options.get("forceInput") and (self.widget_type in WIDGETS or "socketless" in self.options)

    @property
    def widget_type(self) -> str:
        """The type of the input's field, which `widgetType` may set for a socket of another type."""
        widget = self.options.get("widgetType")
        return widget if isinstance(widget, str) else self.type

    @property
    def is_upload(self) -> bool:
        """Whether the input's value is the name of a file in the server's input folder."""
        return any(self.options.get(key) is True for key in UPLOADS)

    @property
    def uploaded(self) -> Uploaded:
        """The kind of file that can be uploaded for the input; "" if none, or a file of any kind."""
        if self.options.get("image_folder", "input") != "input":
            # A list of the server's own results, to which uploads do not add.
            return ""
        for key, kind in UPLOADS.items():
            if self.options.get(key) is True:
                return kind
        return ""

    @property
    def is_controlled(self) -> bool:
        """Whether the editor adds a field that says how the value changes after a run."""
        by_name = self.type == "INT" and self.name in {"seed", "noise_seed"}
        return bool(self.options.get("control_after_generate", by_name))

    @property
    def fallback(self) -> Json:
        """The value of the input's field when a file has no value for it."""
        if "default" in self.options:
            return self.options["default"]
        if self.choices is not None:
            return self.choices[0] if self.choices else ""
        zeros: dict[str, Json] = {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}
        return zeros.get(self.widget_type, "")

    def limit(self, key: str) -> float | None:
        """Return the option `min`, `max` or `step`; None if it is missing, not a number, or at least `ENDLESS`."""
        value = self.options.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return value if abs(value) < ENDLESS else None

    def branch(self, chosen: Json) -> tuple[Input, ...]:
        """Return the further fields that the choice `chosen` of a `DYNAMIC_COMBO` adds."""
        branches = self.options.get("options")
        for branch in branches if self.type == DYNAMIC_COMBO and isinstance(branches, list) else ():
            if isinstance(branch, dict) and branch.get("key") == chosen:
                return tuple(_inputs(branch.get("inputs")))
        return ()


class Definition(Struct, frozen=True, kw_only=True):
    """The definition of one node class."""

    name: str
    title: str
    """The title of a node of this class to which nobody gave another title."""
    inputs: dict[str, Input]
    """Required inputs first; hidden inputs, which the server fills in, are left out."""
    hidden: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    is_output: bool = False
    is_paid: bool = False
    """Whether the node calls a service that bills for it (`api_node`)."""
    price: float | None = None
    """What a run of a paid node costs at most, in US dollars; None if that depends on its inputs or is not stated."""
    has_fixed_inputs: bool = True
    """Whether its inputs do not depend on their values."""

    def known(self, name: str) -> Input | None:
        """Return an input by its name; for the dotted name of a dependent input, the input that it depends on."""
        if name in self.inputs:
            return self.inputs[name]
        group = self.inputs.get(name.split(".")[0])
        return group if group is not None and group.type in {DYNAMIC_COMBO, GROWING} else None

    def live(self, values: Mapping[str, Json]) -> dict[str, Input]:
        """Return the inputs that a node has if its inputs have these values, as the server does.

        Choices and groups bring inputs of their own, under dotted names; a group itself is no input.
        """
        if self.has_fixed_inputs:
            return self.inputs
        live: dict[str, Input] = {}
        _expand(live, self.inputs.values(), values, "")
        return live


def _expand(live: dict[str, Input], fields: Iterable[Input], values: Mapping[str, Json], prefix: str) -> None:
    for field in fields:
        name = prefix + field.name
        match field.type:
            case "COMFY_DYNAMICCOMBO_V3":
                live[name] = replace(field, name=name)
                _expand(live, field.branch(values.get(name)), values, f"{name}.")
            case "COMFY_AUTOGROW_V3":
                live.update((member.name, member) for member in _members(field, f"{name}."))
            case "COMFY_DYNAMICSLOT_V3":
                live[name] = replace(field, name=name)
                if name in values:
                    _expand(live, _inputs(field.options.get("inputs")), values, f"{name}.")
            case _:
                live[name] = replace(field, name=name) if prefix else field


def _members(group: Input, prefix: str) -> Iterator[Input]:
    """Yield the possible members of a `GROWING` group; the first ones may be required."""
    template = group.options.get("template")
    if not isinstance(template, dict):
        return
    names, most, least = template.get("names"), template.get("max"), template.get("min")
    if not isinstance(names, list):
        count = min(most, MOST_MEMBERS) if isinstance(most, int) else 0
        names = [f"{template.get('prefix', '')}{number}" for number in range(count)]
    member = next(_inputs(template.get("input")), None)
    if member is None:
        return
    for number, name in enumerate(names):
        required = member.required and isinstance(least, int) and number < least
        yield replace(member, name=f"{prefix}{name}", required=required)


class Definitions:
    """Holds a server's `/object_info`, and parses each class when it is first asked for; most never are.

    The content may be anything; a class whose entry cannot be parsed counts as missing. `replacements` are the classes
    that the server replaces by others, {} if it does not list any.
    """

    def __init__(
        self, object_info: Mapping[str, Json | Raw], replacements: Mapping[str, Replacement] | None = None
    ) -> None:
        self._raw = object_info
        self._replacements = replacements or {}
        self._read: dict[str, Definition | None] = {}

    @classmethod
    def parse(cls, content: bytes) -> Definitions:
        """Parse the body of a server's `/object_info` response. Raises `msgspec.DecodeError`."""
        return cls(json.decode(content, type=dict[str, Raw]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def get(self, name: str) -> Definition | None:
        """Return a class by its name, None if the server does not have it."""
        if name not in self._read:
            self._read[name] = _definition(name, self._raw.get(name))
        return self._read[name]

    def replacement(self, name: str) -> Replacement | None:
        """Return what takes the place of a class that the server may no longer have."""
        return self._replacements.get(name) or REPLACEMENTS.get(name)

    def updated(
        self, object_info: Mapping[str, Json | Raw], replacements: Mapping[str, Replacement] | None = None
    ) -> Definitions:
        """Return these definitions with another content; the same object if nothing has changed."""
        if self._raw == object_info and self._replacements == (replacements or {}):
            return self
        return Definitions(object_info, replacements)

    def similar(self, name: str) -> str:
        """Return the most similar name of a class that the server has, "" if none is similar."""
        return next(iter(difflib.get_close_matches(name, self, 1)), "")

    def with_node(self, name: str, entry: Raw | None) -> Definitions:
        """Return these definitions with one class replaced, or removed; the same object if nothing has changed."""
        if self._raw.get(name) == entry:
            return self
        remaining = _without(self._raw, name)
        changed = Definitions(remaining if entry is None else {**remaining, name: entry}, self._replacements)
        changed._read = _without(self._read, name)
        return changed


def _without(classes: Mapping[str, T], name: str) -> dict[str, T]:
    return {other: entry for other, entry in classes.items() if other != name}


def _definition(name: str, entry: Json | Raw) -> Definition | None:
    if isinstance(entry, Raw):
        try:
            entry = json.decode(entry, type=Json)
        except (DecodeError, UnicodeError, RecursionError):
            return None
    if not isinstance(entry, dict) or not isinstance(groups := entry.get("input", {}), dict):
        return None
    hidden, outputs = groups.get("hidden"), entry.get("output")
    inputs = {node_input.name: node_input for node_input in _inputs(groups)}
    return Definition(
        name=name,
        title=str(entry.get("display_name") or name),
        inputs=inputs,
        has_fixed_inputs=not any(node_input.type in DYNAMIC for node_input in inputs.values()),
        hidden=frozenset(hidden) if isinstance(hidden, dict) else frozenset(),
        outputs=tuple(output_type if isinstance(output_type, str) else "COMBO" for output_type in outputs)
        if isinstance(outputs, list)
        else (),
        is_output=entry.get("output_node") is True,
        is_paid=entry.get("api_node") is True,
        price=_price(entry.get("price_badge")),
    )


def _price(badge: Json) -> float | None:
    """The price in a badge that the editor shows at a node, if it is the same for every run.

    Most badges are expressions over the values of the node, which only the editor evaluates.
    """
    expression = badge.get("expr") if isinstance(badge, dict) else None
    try:
        price = json.decode(expression, type=Json) if isinstance(expression, str) else None
    except DecodeError:
        return None
    match price:
        case {"format": {"suffix": _}}:
            # A price for each second or each token.
            return None
        case {"type": "usd", "usd": int() | float() as dollars} | {
            "type": "range_usd",
            "max_usd": int() | float() as dollars,
        }:
            is_amount = not isinstance(dollars, bool) and 0 <= dollars < ENDLESS
            return float(dollars) if is_amount else None
        case _:
            return None


def _inputs(groups: Json) -> Iterator[Input]:
    for group in ("required", "optional"):
        specs = groups.get(group) if isinstance(groups, dict) else None
        for name, spec in specs.items() if isinstance(specs, dict) else ():
            if isinstance(spec, list) and spec:
                yield _input(name, spec, required=group == "required")


def _input(name: str, spec: list[Json], *, required: bool) -> Input:
    options = spec_options if len(spec) > 1 and isinstance(spec_options := spec[1], dict) else {}
    listed = spec[0] if isinstance(spec[0], list) else options.get("options") if spec[0] == "COMBO" else None
    if spec[0] == DYNAMIC_COMBO and isinstance(branches := options.get("options"), list):
        listed = [branch.get("key") for branch in branches if isinstance(branch, dict)]
    return Input(
        name=name,
        type=spec[0] if isinstance(spec[0], str) else "COMBO",
        required=required,
        options=options,
        choices=tuple(listed) if isinstance(listed, list) else None,
    )


def compatible(output_type: str, input_type: str) -> bool:
    """Return whether an output may be connected to an input; a type may be a comma-separated list, `*` is any type."""
    if not output_type or not input_type or "*" in {output_type, input_type}:
        return True
    return bool(
        {part.strip().lower() for part in output_type.split(",")}
        & {part.strip().lower() for part in input_type.split(",")}
    )
