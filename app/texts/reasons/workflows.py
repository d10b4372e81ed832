"""The sentences for values that a workflow does not take, and for files and graphs that are not workflows."""

from __future__ import annotations

from typing import assert_never

from app.texts.wording import (
    EXPECTED,
    EXPORT,
    ended,
    limits_text,
    listed,
    number_text,
    path_text,
    quoted,
    shortened,
    suggest,
)
from app.workflows.reasons import binding, files, graphs, values, variation

EXAMPLES = {"image": "photo.png", "video": "clip.mp4", "audio": "voice.mp3", "size": "1024x768", "lora": "style:0.8"}
"""Examples of a value by the kind of slot; all other kinds use a text as their example."""


def value_text(reason: values.ValueReason) -> str:
    """Return the sentence for a value that a slot or an input does not take."""
    name = shortened(reason.name)
    match reason:
        case values.InvalidCharacters():
            return f"{name} contains invalid characters: type it again."
        case values.WrongType(expected=expected, given=given):
            return f"{name} must be {EXPECTED[expected]}, not {quoted(given)}."
        case values.NotAChoice(given=given, choices=choices):
            return f"{name} cannot be {quoted(given)}{suggest(given, choices)}"
        case values.OutOfLimits(number=number, minimum=minimum, maximum=maximum):
            return f"{name} is {number_text(number)}, but must be {limits_text(minimum, maximum)}."
        case values.ConnectedInput():
            return f"{name} gets its value from another node, so you cannot set it."
        case _:
            assert_never(reason)


def binding_text(reason: binding.BindingReason) -> str:
    """Return the sentence for values that cannot be put into a workflow."""
    match reason:
        case binding.UnknownPreset(workflow=workflow, preset=preset, known=known):
            end = suggest(preset, known) if known else ": it has none."
            return f"{quoted(workflow)} has no preset called {quoted(preset)}{end}"
        case binding.UnknownSlot(workflow=workflow, slot=slot, known=known):
            end = suggest(slot, known) if known else ": it has none."
            return f"{quoted(workflow)} has no slot called {quoted(slot)}{end}"
        case binding.MissingValue(workflow=workflow, slot=slot, kind=kind):
            example = EXAMPLES.get(kind, "a lighthouse at dusk")
            return f"{quoted(workflow)} needs a value for {shortened(slot)}, such as {quoted(example)}."
        case binding.NotAnAddress(given=given, node=node):
            example = quoted(f"{shortened(node, 40)}.seed")
            return f"{quoted(given)} does not name an input: write NODE.INPUT, such as {example}."
        case binding.MissingUpload(slot=slot, path=path):
            return f"{shortened(slot)}: there is no file {path_text(path)}."
        case binding.NotAPair(argument=argument, form=form):
            return f"{quoted(argument)} is not of the form {shortened(form)}."
        case binding.LoraNotParsed(given=given, name=name):
            return f"{quoted(given)} has no weight that is a number: write {shortened(name) or 'style'}:0.8."
        case binding.UnknownLora(given=given, sought=sought, known=known):
            return f"There is no LoRA called {quoted(given)}{suggest(sought, known)}"
        case binding.AmbiguousLora(given=given, files=paths):
            return f"There are {len(paths)} LoRAs called {quoted(given)}: choose from {listed(paths, 6)}."
        case binding.LoraWeightOutOfLimits(lora=lora, weight=weight, limit=limit):
            limits = limits_text(-limit, limit)
            return f"The weight of {shortened(lora)} is {number_text(weight)}, but must be {limits}."
        case binding.NoModelOutput(node=node):
            return f"{quoted(node)} outputs no model, so no LoRA can follow it."
        case binding.SeveralChains(node=node, loaders=loaders):
            names = " or ".join(quoted(loader) for loader in loaders[:6])
            return f"Several chains of LoRAs begin at {quoted(node)}: name {names} instead."
        case binding.NoModelInput(node=node):
            return f"{quoted(node)} gets no model: connect one to it."
        case _:
            assert_never(reason)


def file_text(reason: files.WorkflowFileReason) -> str:
    """Return the sentence for files that cannot be used as a workflow."""
    match reason:
        case files.SameName(workflow=workflow, folder=folder, files=paths):
            names = " and ".join(path_text(file) for file in paths[:2])
            return f"There are two workflows called {quoted(workflow)} in {path_text(folder)}, {names}: rename one."
        case files.FileNotFound(path=path):
            return f"There is no file {path_text(path)}."
        case files.UnknownWorkflow(workflow=workflow, folder=folder, known=known):
            end = suggest(workflow, known)
            return f"There is no workflow called {quoted(workflow)} in {path_text(folder)}{end}"
        case files.FileTooLarge(file=file, size=size, limit=limit):
            most = f"a workflow may have {limit // 2**20} MB"
            return f"{path_text(file)} has {size // 2**20} MB, but {most}: {EXPORT}."
        case files.FileUnreadable(path=path, problem=problem):
            return f"{path_text(path)} cannot be read: {ended(problem)}"
        case files.NestedTooDeeply(file=file):
            return f"{path_text(file)} is not a workflow, because it is nested too deeply: {EXPORT}."
        case files.NotJson(file=file, problem=problem):
            return f"{path_text(file)} is not valid JSON: {ended(problem)}"
        case files.EditorFormat(file=file):
            return f"{path_text(file)} is in the editor's own format: {EXPORT}, or start a server that can convert it."
        case files.NodesUnknown(file=file, server=server, problem=problem):
            where = f"{path_text(file)} is in the editor's own format"
            return f"{where}: {EXPORT}, or start {shortened(server)}. It does not list its nodes: {ended(problem)}"
        case files.NoNameFor(stem=stem):
            return f"{quoted(stem)} cannot name a workflow: give the file a name with letters from a to z."
        case files.NameTaken(workflow=workflow, folder=folder):
            where = f"There is a workflow called {quoted(workflow)} in {path_text(folder)} already"
            return f"{where}: rename the file, or remove it."
        case _:
            assert_never(reason)


def graph_text(reason: graphs.GraphReason) -> str:
    """Return the sentence for a graph that is not valid, or a name that does not lead to a node or an input."""
    match reason:
        case graphs.NotAWorkflow(file=file):
            return f"{path_text(file)} is not a workflow: {EXPORT}."
        case graphs.NotANode(file=file, node=node):
            return f"{path_text(file)} is not a workflow in API format (node {shortened(node)}): {EXPORT}."
        case graphs.InputsNotATable(file=file, node=node):
            return f"{path_text(file)}: the inputs of {quoted(node)} are not a table: {EXPORT}."
        case graphs.DanglingLink(file=file, node=node, input=field):
            place = f"{shortened(field)} of {quoted(node)}"
            return f"{path_text(file)}: {place} comes from a node that does not exist: {EXPORT}."
        case graphs.AmbiguousNode(given=given, nodes=nodes):
            ids = listed(nodes)
            return f"There are {len(nodes)} nodes called {quoted(given)}: use one of the ids {ids}."
        case graphs.UnknownNode(given=given, known=known):
            return f"There is no node called {quoted(given)}{suggest(given, known)}"
        case graphs.UnknownInput(node=node, input=field, known=known):
            return f"{quoted(node)} has no input {quoted(field)}{suggest(field, known)}"
        case _:
            assert_never(reason)


def variation_text(reason: variation.PictureGraphReason) -> str:
    """Return the sentence for a picture from which its own graph cannot start."""
    match reason:
        case variation.NotOnePicture(places=0):
            return "This workflow saves no picture, so there is none to start from."
        case variation.NotOnePicture(places=places):
            return f"This workflow saves its results in {places} places, so none of them can be varied."
        case variation.PictureRearranged(node=node):
            return f"{quoted(node)} changes the picture after it was made, so it cannot be varied."
        case variation.NoSampler(node=node) | variation.UnknownLatent(node=node):
            return f"{quoted(node)} cannot start from a picture, so this result cannot be varied."
        case variation.SampledInParts():
            return "Two samplers share the steps of this workflow, so its pictures cannot be varied."
        case variation.NoStrength(node=node):
            return f"It cannot be set how much {quoted(node)} changes, so this picture cannot be varied."
        case variation.UnknownSize():
            return "The size at which this picture was made is not known, so it cannot be extended."
        case _:
            assert_never(reason)
