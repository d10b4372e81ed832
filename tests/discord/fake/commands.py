"""The application's commands: what Discord takes for one, and those that are registered."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.discord.fake.wire import ApiError, Flakes, Payload, invalid, items, length

NAME = re.compile(r"[-_'\w]{1,32}")
SLASH, USER_MENU, MESSAGE_MENU = 1, 2, 3
SUBCOMMAND, GROUP, STRING, INTEGER, NUMBER, ATTACHMENT = 1, 2, 3, 4, 10, 11
LARGEST = 8000
"""All names, descriptions and choices of one command together, in characters."""
MOST = {SLASH: 100, USER_MENU: 15, MESSAGE_MENU: 15}


def check_command(command: Payload, path: str = "") -> None:
    """Raise 50035 unless Discord would register this."""
    dot = f"{path}." if path else ""
    kind = command.get("type", SLASH)
    if kind not in MOST:
        raise invalid(f"{dot}type", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3}.")
    if kind != SLASH:
        length(f"{dot}name", command.get("name"), 1, 32)
        if command.get("description") or command.get("options"):
            raise invalid(f"{dot}description", "APPLICATION_COMMAND_DESCRIPTION", "Context menus have no description")
        return
    _name(f"{dot}name", command.get("name"))
    length(f"{dot}description", command.get("description"), 1, 100)
    check_options(items(command, "options"), f"{dot}options")
    if sum(map(len, _texts(command))) > LARGEST:
        raise invalid(path, "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({LARGEST})")


def _name(path: str, name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name) or name != name.lower():
        raise invalid(path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def check_options(options: list[Payload], path: str) -> None:
    length(path, options, 0, 25)
    optional = False
    names: set[str] = set()
    for index, option in enumerate(options):
        here = f"{path}.{index}"
        _name(f"{here}.name", option.get("name"))
        length(f"{here}.description", option.get("description"), 1, 100)
        if option["name"] in names:
            raise invalid(here, "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option name already exists")
        names.add(option["name"])
        if option["type"] in (SUBCOMMAND, GROUP):
            check_options(items(option, "options"), f"{here}.options")
            continue
        if option.get("required") and optional:
            message = "Required options must be placed before non-required options"
            raise invalid(here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        optional = optional or not option.get("required")
        _check_values(option, here)


def _check_values(option: Payload, path: str) -> None:
    kind, choices = option["type"], items(option, "choices")
    length(f"{path}.choices", choices, 0, 25)
    if (choices or option.get("autocomplete")) and kind not in (STRING, INTEGER, NUMBER):
        raise invalid(path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Options of this type take no choices")
    if choices and option.get("autocomplete"):
        message = "Options with choices cannot have autocomplete"
        raise invalid(f"{path}.autocomplete", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES", message)
    for index, choice in enumerate(choices):
        length(f"{path}.choices.{index}.name", choice["name"], 1, 100)
        if kind == STRING:
            length(f"{path}.choices.{index}.value", choice["value"], 1, 100)
    if len({choice["name"] for choice in choices}) < len(choices):
        raise invalid(
            f"{path}.choices", "APPLICATION_COMMAND_OPTIONS_CHOICE_NAMES_UNIQUE", "Choice names are not unique"
        )
    for name, kinds in (("value", (INTEGER, NUMBER)), ("length", (STRING,))):
        low, high = option.get(f"min_{name}"), option.get(f"max_{name}")
        if (low is not None or high is not None) and kind not in kinds:
            raise invalid(
                path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", f"Options of this type take no {name} limits"
            )
        if low is not None and high is not None and low > high:
            raise invalid(
                f"{path}.min_{name}", "APPLICATION_COMMAND_OPTIONS_MIN_MAX", "The minimum exceeds the maximum"
            )
        if name == "length" and high is not None and not 1 <= high <= 6000:
            raise invalid(f"{path}.max_length", "NUMBER_TYPE_MAX", "int value should be between 1 and 6000.")


def _texts(command: Payload) -> Iterator[str]:
    yield command.get("name") or ""
    yield command.get("description") or ""
    for choice in items(command, "choices"):
        yield choice["name"]
        yield str(choice["value"])
    for option in items(command, "options"):
        yield from _texts(option)


@dataclass
class Commands:
    """What is registered: by the id of a guild, and under None for everywhere."""

    flakes: Flakes
    application: str
    of: defaultdict[str | None, list[Payload]] = field(
        default_factory=lambda: defaultdict[str | None, list[Payload]](list)
    )

    def replace(self, guild: str | None, commands: list[Payload]) -> list[Payload]:
        """PUT: these, and no others. One that is there already keeps its id."""
        for index, command in enumerate(commands):
            check_command(command, str(index))
        for kind, most in MOST.items():
            names = [command["name"] for command in commands if command.get("type", SLASH) == kind]
            if len(set(names)) < len(names):
                message = "Application command names must be unique"
                raise invalid(str(len(commands) - 1), "APPLICATION_COMMANDS_DUPLICATE_NAME", message)
            if len(names) > most:
                raise ApiError(400, 30032, f"Maximum number of application commands reached ({most})")
        self.of[guild] = [self._stored(guild, command) for command in commands]
        return self.of[guild]

    def put(self, guild: str | None, command: Payload) -> tuple[bool, Payload]:
        """POST: this one too, instead of one with its name and type. True if it is new."""
        check_command(command)
        stored = self._stored(guild, command)
        others = [other for other in self.of[guild] if other["id"] != stored["id"]]
        new = len(others) == len(self.of[guild])
        self.of[guild] = [*others, stored]
        return new, stored

    def get(self, guild: str | None, command: str) -> Payload:
        """Raise 10063 if there is none with this id."""
        for found in self.of[guild]:
            if found["id"] == command:
                return found
        raise ApiError(404, 10063, "Unknown application command")

    def delete(self, guild: str | None, command: str) -> None:
        self.of[guild].remove(self.get(guild, command))

    def change(self, guild: str | None, before: Payload, changes: Payload) -> Payload:
        """PATCH: what is not mentioned stays, the id too."""
        command = before | changes
        check_command(command)
        changed = self._stored(guild, command) | {"id": before["id"]}
        self.of[guild] = [changed if other["id"] == before["id"] else other for other in self.of[guild]]
        return changed

    def find(self, guild: str | None, name: str, kind: int) -> Payload | None:
        """What somebody in this guild (None: in direct messages) sees under this name."""
        seen = [*(self.of[guild] if guild else []), *self.of[None]]
        return next((command for command in seen if (command["name"], command["type"]) == (name, kind)), None)

    def _stored(self, guild: str | None, command: Payload) -> Payload:
        stored: Payload = {
            "type": SLASH,
            "description": "",
            "default_member_permissions": None,
            "nsfw": False,
            "name_localizations": None,
            "description_localizations": None,
            "integration_types": [0],
            "contexts": None,
        }
        stored |= command
        key = (stored["name"], stored["type"])
        before = next((other["id"] for other in self.of[guild] if (other["name"], other["type"]) == key), None)
        stored["options"] = [_plain(option) for option in items(command, "options")]
        stored |= {
            "id": before or self.flakes.new_prompt_id(),
            "application_id": self.application,
            "version": self.flakes.new_prompt_id(),
        }
        return stored | ({"guild_id": guild} if guild else {})


def _plain(option: Payload) -> Payload:
    """Discord gives back no option field that says nothing."""
    said = {key: value for key, value in option.items() if value not in (None, [], {}, False)}
    if "options" in said:
        said["options"] = [_plain(inner) for inner in said["options"]]
    return said
