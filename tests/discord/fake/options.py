"""What somebody fills into a command's options, as far as Discord's own client lets him."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from tests.discord.fake.cdn import Cdn, Upload
from tests.discord.fake.commands import ATTACHMENT, GROUP, SUBCOMMAND
from tests.discord.fake.components import CHECKBOX_GROUP, RADIO_GROUP, STRING_SELECT
from tests.discord.fake.wire import Payload, items
from tests.discord.fake.world import ADMINISTRATOR, Channel, Person, describe_roles

GUILD_CONTEXT, DM_CONTEXT = 0, 1
MENTIONABLE = 9
OFFERING = (STRING_SELECT, RADIO_GROUP, CHECKBOX_GROUP)
"""Kinds of components whose choices the bot names."""


class Impossible(Exception):
    """Discord's client would not let anybody do this: the command is not shown, the button is grey."""


def check_visible(command: Payload | None, name: str, person: Person, channel: Channel) -> Payload:
    """The command, if this person sees it there."""
    if command is None:
        raise Impossible(f"there is no {name}")
    contexts = command["contexts"]
    if contexts is not None and (GUILD_CONTEXT if channel.guild else DM_CONTEXT) not in contexts:
        raise Impossible(f"{name} is not shown in this kind of channel")
    needed = int(command["default_member_permissions"] or 0)
    shut = command["default_member_permissions"] == "0"
    allowed = person.permissions & ADMINISTRATOR or (not shut and not needed & ~person.permissions)
    if channel.guild and not allowed:
        raise Impossible(f"{person.name} may not see {name}")
    if command["nsfw"] and not channel.nsfw:
        raise Impossible(f"{name} is shown in age-restricted channels only")
    return command


def leaf(command: Payload, path: list[str]) -> tuple[list[Payload], list[Payload]]:
    """Follow subcommand names down: the option specifications there, and the wrappers on the way."""
    specifications: list[Payload] = items(command, "options")
    wrappers: list[Payload] = []
    for name in path:
        found = next(
            (one for one in specifications if one["name"] == name and one["type"] in (SUBCOMMAND, GROUP)), None
        )
        if found is None:
            raise Impossible(f"there is no subcommand {name}")
        wrappers.append({"name": name, "type": found["type"]})
        specifications = items(found, "options")
    return specifications, wrappers


def fill(
    specifications: list[Payload],
    values: Mapping[str, object],
    channel: Channel,
    cdn: Cdn,
    people: Mapping[str, Person],
    focused: str | None = None,
) -> tuple[list[Payload], Payload]:
    """The options of an interaction, and what they refer to. `focused` is the one being typed."""
    known = {one["name"] for one in specifications}
    if unknown := [name for name in values if name not in known]:
        raise Impossible(f"there is no option {unknown[0]}")
    filled: list[Payload] = []
    resolved: Payload = {}
    for specification in specifications:
        name = specification["name"]
        if name not in values:
            if specification.get("required") and focused is None:
                raise Impossible(f"{name} must be filled in")
            continue
        value = values[name]
        if isinstance(value, Upload):
            if specification["type"] != ATTACHMENT:
                raise Impossible(f"{name} takes no file")
            attachment = cdn.put(channel.id, value.filename, value) | {"ephemeral": True}
            resolved.setdefault("attachments", {})[attachment["id"]] = attachment
            value = attachment["id"]
        elif specification["type"] == MENTIONABLE:
            _resolve(resolved, str(value), channel, people)
        elif focused is None:
            _check(specification, value)
        typed = {"focused": True} if name == focused else {}
        filled.append({"name": name, "type": specification["type"], "value": value} | typed)
    return filled, resolved


def _resolve(resolved: Payload, ident: str, channel: Channel, people: Mapping[str, Person]) -> None:
    """Describe the person or role that was chosen."""
    roles = {role["id"]: role for role in describe_roles(channel.guild)} if channel.guild else {}
    if ident in roles:
        resolved.setdefault("roles", {})[ident] = roles[ident]
    elif ident in people:
        resolved.setdefault("users", {})[ident] = people[ident].describe()
        member = people[ident].membership()
        left_out = {"user", "deaf", "mute"}
        resolved.setdefault("members", {})[ident] = {key: member[key] for key in member if key not in left_out}
    else:
        raise Impossible(f"there is nobody {ident}")


TYPES: dict[int, tuple[type, ...]] = {3: (str,), 4: (int,), 5: (bool,), 10: (int, float)}


def _check(specification: Payload, value: object) -> None:
    name, kind = specification["name"], specification["type"]
    if kind in TYPES and (not isinstance(value, TYPES[kind]) or isinstance(value, bool) != (kind == 5)):
        raise Impossible(f"{name} does not take {value!r}")
    choices = specification.get("choices")
    if choices and value not in [choice["value"] for choice in choices]:
        raise Impossible(f"{name} does not offer {value!r}")
    for limit, measured in (("value", value), ("length", len(value) if isinstance(value, str) else None)):
        if not isinstance(measured, (int, float)):
            continue
        low, high = specification.get(f"min_{limit}"), specification.get(f"max_{limit}")
        if (low is not None and measured < low) or (high is not None and measured > high):
            raise Impossible(f"{name} does not take {value!r}")


Filled: TypeAlias = "str | bool | Upload | Sequence[str] | Sequence[Upload]"
"""What somebody fills into one field of a modal."""


def modal_values(
    modal: Payload, values: Mapping[str, Filled], channel: Channel, cdn: Cdn
) -> tuple[list[Payload], Payload]:
    """The components of a modal as they are submitted, those not mentioned as they stood there; and what they name."""
    inputs = {one["custom_id"] for row in modal["components"] for one in _inputs(row)}
    if unknown := [name for name in values if name not in inputs]:
        raise Impossible(f"the modal has no field {unknown[0]}")
    filled: list[Payload] = []
    resolved: Payload = {}
    for number, row in enumerate(modal["components"], 1):
        answers = [_answer(one, number * 100, values, channel, cdn, resolved) for one in _inputs(row)]
        if row["type"] == 1:
            filled.append({"type": 1, "id": number, "components": answers})
        elif answers:
            filled.append({"type": row["type"], "id": number, "component": answers[0]})
        else:
            filled.append({"type": row["type"], "id": number})
    return filled, resolved


def check_chosen(menu: Payload, chosen: Sequence[str]) -> None:
    """Raise `Impossible` unless somebody can choose these in a menu, in a message or in a modal."""
    name = menu["custom_id"]
    offered = {option["value"] for option in items(menu, "options")}
    all_of_them = len(offered) if menu["type"] == CHECKBOX_GROUP else 1
    low, high = menu.get("min_values", 1), menu.get("max_values", all_of_them)
    required = menu.get("required", True)
    if not (low <= len(chosen) <= high or (not chosen and not required)):
        raise Impossible(f"{name} takes {low} to {high} choices")
    if menu["type"] in OFFERING and not offered.issuperset(chosen):
        raise Impossible(f"{name} does not offer {chosen}")


def _inputs(row: Payload) -> list[Payload]:
    return row.get("components") or ([row["component"]] if "component" in row else [])


def filled_in(one: Payload) -> str | bool | list[str]:
    """What stands in a field of a modal when it is opened."""
    chosen = [str(option["value"]) for option in items(one, "options") if option.get("default")]
    match one["type"]:
        case 4:
            return str(one.get("value") or "")
        case 21:
            return chosen[0] if chosen else ""
        case 23:
            return bool(one.get("default"))
        case _:
            return chosen


def _answer(
    one: Payload, ident: int, values: Mapping[str, Filled], channel: Channel, cdn: Cdn, resolved: Payload
) -> Payload:
    name, kind = one["custom_id"], one["type"]
    value = values.get(name, filled_in(one))
    answer: Payload = {"type": kind, "id": ident, "custom_id": name}
    required = one.get("required", True)
    match kind:
        case 4:
            return answer | {"value": _text(one, value)}
        case 21:
            chosen = [value] if value else []
            if required and not chosen:
                raise Impossible(f"{name} must be chosen")
            check_chosen(one | {"required": False}, [str(each) for each in chosen])
            return answer | {"value": value or None}
        case 23:
            if not isinstance(value, bool):
                raise Impossible(f"{name} is ticked or not")
            return answer | {"value": value}
        case 19:
            uploads = [value] if isinstance(value, Upload) else _listed(value)
            low, high = one.get("min_values", 1), one.get("max_values", 1)
            if not (low <= len(uploads) <= high or (not uploads and not required)):
                raise Impossible(f"{name} takes {low} to {high} files")
            return answer | {"values": [_uploaded(each, name, channel, cdn, resolved) for each in uploads]}
        case _:
            chosen = [value] if isinstance(value, str) and value else [str(each) for each in _listed(value)]
            check_chosen(one, chosen)
            return answer | {"values": chosen}


def _listed(value: object) -> list[object]:
    return [*cast("Sequence[object]", value)] if isinstance(value, Sequence) and not isinstance(value, str) else []


def _uploaded(upload: object, name: str, channel: Channel, cdn: Cdn, resolved: Payload) -> str:
    if not isinstance(upload, Upload):
        raise Impossible(f"{name} takes files")
    attachment = cdn.put(channel.id, upload.filename, upload) | {"ephemeral": True}
    resolved.setdefault("attachments", {})[attachment["id"]] = attachment
    return str(attachment["id"])


def _text(one: Payload, value: object) -> str:
    if not isinstance(value, str):
        raise Impossible(f"{one['custom_id']} takes a text")
    low = one.get("min_length") or (1 if one.get("required", True) else 0)
    high = one.get("max_length") or 4000
    if not (low <= len(value) <= high or (not value and not one.get("required", True))):
        raise Impossible(f"{one['custom_id']} takes {low} to {high} characters")
    return value
