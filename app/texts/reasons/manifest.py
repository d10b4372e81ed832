"""The sentences about manifests, and about slots that could not be found in a graph.

Most follow the name of a file and the number of a line, so they begin with a small letter.
"""

from __future__ import annotations

from typing import assert_never

from app.texts.wording import either, inputs_text, listed, number_text, quoted, shortened, suggest
from app.workflows.reasons import discovery, manifest

NAME = "use lowercase letters, digits, - and _, at most 32"
"""What Discord accepts as the name of a command or an option."""


TYPES: dict[manifest.KeyType, str] = {
    "number": "a number",
    "integer": "a whole number",
    "id": "an id or a name",
    "text": "a text in quotes",
    "boolean": "true or false",
    "list": "a list",
    "table": "a table",
    "nothing": "left out",
    "other": "another kind of value",
}

COMPARISONS: dict[manifest.Comparison, str] = {
    "at_least": "at least",
    "more_than": "more than",
    "at_most": "at most",
    "less_than": "less than",
}


def key_text(reason: manifest.KeyReason) -> str:
    """Return the sentence about a key of a manifest."""
    match reason:
        case manifest.FileVanished():
            return "the file does not exist any more."
        case manifest.UnknownKey(key=key, known=known):
            return f"there is no key {quoted(key)}{suggest(key, known)}"
        case manifest.NotTables(key=key):
            return f"{shortened(key)} must be tables such as [{shortened(key)}.name]."
        case manifest.NotATable(key=key):
            return f"{shortened(key)} must be a table: write [{shortened(key)}]."
        case manifest.NotAName(key=key, name=name):
            return f"{quoted(name)} cannot be a name in {shortened(key)}: {NAME}."
        case manifest.MissingKey(key=key, missing=missing):
            return f"{shortened(key)} lacks the key {quoted(missing)}."
        case manifest.WrongKeyType(key=key, expected=expected):
            return f"{shortened(key)} must be {TYPES[expected]}."
        case manifest.NotAllowed(key=key, given=given, allowed=allowed):
            return f"{shortened(key)} cannot be {quoted(given)}{suggest(given, allowed)}"
        case manifest.KeyOutOfLimits(key=key, comparison=comparison, limit=limit, is_length=is_length):
            unit = " characters long" if is_length else ""
            return f"{shortened(key)} must be {COMPARISONS[comparison]} {number_text(limit)}{unit}."
        case manifest.InvalidKey(key=key):
            return f"{shortened(key) or 'the manifest'} has a value that is not valid."
        case _:
            assert_never(reason)


def manifest_text(reason: manifest.ManifestReason) -> str:
    """Return the sentence about a manifest."""
    match reason:
        case manifest.NotACommand(command=command):
            return f"{quoted(command)} cannot be a command: {NAME}."
        case manifest.BuiltInCommand(command=command):
            return f"the bot itself has a command {quoted(command)}: choose another name."
        case manifest.FollowUpWithCommand():
            return "a workflow that only follows another's result cannot have a command or a menu."
        case manifest.TaskNeedsSlot(task=task, slot="prompt"):
            return f"a workflow for {quoted(task)} needs a slot “prompt” of the kind “text”: add it, or change “task”."
        case manifest.TaskNeedsSlot(task=task):
            return f"a workflow for {quoted(task)} needs a slot of the kind “image”: add it, or change “task”."
        case manifest.UnknownPresetSlot(preset=preset, slot=slot, known=known):
            end = suggest(slot, known)
            return f"the preset {shortened(preset)} sets {shortened(slot)}, which is not a slot{end}"
        case manifest.MovedToForm(room=room, options=options, slots=slots):
            names = listed(slots, 40)
            return f"A command has room for {room} of its {options} options, so you find these in its form: {names}."
        case manifest.NodeAndTargets(slot=slot):
            return f"the slot {shortened(slot)} has node and targets: keep one of them."
        case manifest.SeveralLoraNodes(slot=slot):
            return f"the slot {shortened(slot)} is a chain of LoRAs, so it can have only one node."
        case manifest.UnpairedSize(slot=slot):
            return f"the slot {shortened(slot)} is a size, so its targets must be pairs of width and height."
        case manifest.NoInputNamed(slot=slot, node=node, inputs=inputs):
            has = listed(inputs) if inputs else "none"
            return f"the slot {shortened(slot)} does not say which input of {quoted(node)} it is; it has {has}."
        case manifest.NoNodeNamed(slot=slot):
            return f"the slot {shortened(slot)} names no node, and none has the title @{shortened(slot)}."
        case manifest.LimitNotFinite(slot=slot, limit=limit):
            return f"{limit} of {shortened(slot)} must be a finite number."
        case manifest.LimitsReversed(slot=slot):
            return f"minimum of {shortened(slot)} is more than its maximum."
        case manifest.StepNotPositive(slot=slot):
            return f"step of {shortened(slot)} must be more than 0."
        case _:
            assert_never(reason)


def discovery_text(reason: discovery.DiscoveryReason) -> str:
    """Return the sentence for a slot that is not clear in a graph."""
    match reason:
        case discovery.SeveralCandidates(slot=slot, candidates=candidates):
            inputs = either([inputs_text(places) for places in candidates], 4)
            name = shortened(slot)
            return f"{name} could be {inputs}: give the right node the title @{name}, or name it in the manifest."
        case discovery.UnclearTitle(node=node, slot=slot, inputs=inputs):
            end = f"call it @{shortened(slot)}.INPUT with one of {listed(inputs)}." if inputs else "none is free."
            return f"{quoted(node)} does not say which input is meant: {end}"
        case _:
            assert_never(reason)
