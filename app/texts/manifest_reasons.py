"""The sentences about manifests, and about slots that could not be found in a graph.

Most follow the name of a file and the number of a line, so they begin with a small letter.
"""

from __future__ import annotations

from typing import assert_never

from app.texts.wording import either, inputs_text, listed, quoted, shortened, suggest
from app.workflows.reasons import discovery, manifest

NAME = "use small letters, digits, - and _, at most 32"
"""What Discord accepts as the name of a command or an option."""


def manifest_text(reason: manifest.ManifestReason) -> str:
    """Return the sentence about a manifest."""
    match reason:
        case manifest.NotACommand(command=command):
            return f"{quoted(command)} cannot be a command: {NAME}."
        case manifest.BuiltInCommand(command=command):
            return f"the bot itself has a command {quoted(command)}: choose another name."
        case manifest.FollowUpWithCommand():
            return "a workflow that only follows another's result cannot have a command or a menu."
        case manifest.UnknownPresetSlot(preset=preset, slot=slot, known=known):
            end = suggest(slot, known)
            return f"the preset {shortened(preset)} sets {shortened(slot)}, which is not a slot{end}"
        case manifest.MovedToForm(room=room, options=options, slots=slots):
            names = listed(slots, 40)
            return f"A command has room for {room} of its {options} options, so you find these in its form: {names}."
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
