"""What somebody fills into a command's options, as far as Discord's own client lets him."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.discord.fake.cdn import Cdn, Upload
from tests.discord.fake.commands import ATTACHMENT, GROUP, SUBCOMMAND
from tests.discord.fake.components import STRING_SELECT, TEXT_INPUT
from tests.discord.fake.wire import Payload, items
from tests.discord.fake.world import ADMINISTRATOR, Channel, Person, describe_roles

GUILD_CONTEXT, DM_CONTEXT, PRIVATE_CONTEXT = 0, 1, 2
GUILD_INSTALL, USER_INSTALL = 0, 1
MENTIONABLE = 9


class Impossible(Exception):
    """Discord's client would not let anybody do this: the command is not shown, the button is grey."""


def context_of(channel: Channel) -> int:
    """The kind of place, as interactions and commands name it."""
    return GUILD_CONTEXT if channel.guild else PRIVATE_CONTEXT if channel.outside else DM_CONTEXT


def check_visible(command: Payload | None, name: str, person: Person, channel: Channel) -> Payload:
    """The command, if this person sees it there."""
    if command is None:
        raise Impossible(f"there is no {name}")
    contexts = command["contexts"]
    if contexts is not None and context_of(channel) not in contexts:
        raise Impossible(f"{name} is not shown in this kind of channel")
    if channel.outside and USER_INSTALL not in command["integration_types"]:
        raise Impossible(f"{name} does not go along with people")
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


def modal_values(modal: Payload, values: Mapping[str, str | Sequence[str]]) -> list[Payload]:
    """The components of a modal as they are submitted, those not mentioned as they stood there."""
    inputs = {one["custom_id"] for row in modal["components"] for one in _inputs(row)}
    if unknown := [name for name in values if name not in inputs]:
        raise Impossible(f"the modal has no field {unknown[0]}")
    filled: list[Payload] = []
    for number, row in enumerate(modal["components"], 1):
        answers = [_answer(one, number * 100, values) for one in _inputs(row)]
        if row["type"] == 1:
            filled.append({"type": 1, "id": number, "components": answers})
        elif answers:
            filled.append({"type": row["type"], "id": number, "component": answers[0]})
    return filled


def check_chosen(menu: Payload, chosen: Sequence[str]) -> None:
    """Raise `Impossible` unless somebody can choose these in a menu, in a message or in a modal."""
    name = menu["custom_id"]
    low, high = menu.get("min_values", 1), menu.get("max_values", 1)
    required = menu.get("required", True)
    if not (low <= len(chosen) <= high or (not chosen and not required)):
        raise Impossible(f"{name} takes {low} to {high} choices")
    offered = {option["value"] for option in items(menu, "options")}
    if menu["type"] == STRING_SELECT and not offered.issuperset(chosen):
        raise Impossible(f"{name} does not offer {chosen}")


def _inputs(row: Payload) -> list[Payload]:
    return row.get("components") or ([row["component"]] if "component" in row else [])


def _answer(one: Payload, ident: int, values: Mapping[str, str | Sequence[str]]) -> Payload:
    value = values.get(one["custom_id"], one.get("value") or "")
    if one["type"] != TEXT_INPUT:
        chosen = [value] if isinstance(value, str) and value else list(value)
        check_chosen(one, chosen)
        return {"type": one["type"], "id": ident, "custom_id": one["custom_id"], "values": chosen}
    if not isinstance(value, str):
        raise Impossible(f"{one['custom_id']} takes a text")
    low = one.get("min_length") or (1 if one.get("required", True) else 0)
    high = one.get("max_length") or 4000
    if not (low <= len(value) <= high or (not value and not one.get("required", True))):
        raise Impossible(f"{one['custom_id']} takes {low} to {high} characters")
    return {"type": one["type"], "id": ident, "custom_id": one["custom_id"], "value": value}
