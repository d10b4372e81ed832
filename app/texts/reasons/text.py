"""Renders any reason as one sentence."""

from __future__ import annotations

from typing import assert_never

from app.reasons import Reason
from app.reasons.files import MediaReason
from app.reasons.jobs import JobReason
from app.reasons.limits import LimitReason
from app.reasons.servers import NetworkReason
from app.service.reasons import LastVersionKept, ServiceReason
from app.texts.reasons.audit import audit_text, input_check_text, link_text
from app.texts.reasons.availability import availability_text
from app.texts.reasons.editor_format import editor_format_text
from app.texts.reasons.files import media_reason_text
from app.texts.reasons.jobs import job_reason_text
from app.texts.reasons.limits import limit_reason_text
from app.texts.reasons.manifest import discovery_text, key_text, manifest_text
from app.texts.reasons.servers import network_reason_text
from app.texts.reasons.service import service_text
from app.texts.reasons.workflows import binding_text, file_text, graph_text, value_text, variation_text
from app.texts.wording import path_text, quoted, sentence, shortened
from app.workflows.reasons.availability import AvailabilityReason
from app.workflows.reasons.binding import BindingReason
from app.workflows.reasons.checks import AuditReason, InputCheckReason, LinkReason
from app.workflows.reasons.discovery import DiscoveryReason
from app.workflows.reasons.editor_format import EditorFormatReason
from app.workflows.reasons.files import WorkflowFileReason
from app.workflows.reasons.graphs import GraphReason
from app.workflows.reasons.manifest import KeyReason, ManifestReason
from app.workflows.reasons.values import ValueReason
from app.workflows.reasons.variation import PictureGraphReason
from app.workflows.reasons.wrapped import InFile, InPreset, PlainText, RunsOnNoServer, WrappedReason


def reason_text(reason: Reason | str, *, operator: bool = False) -> str:
    """The sentence for a reason: one line of at most 600 characters.

    A text, which an earlier version stored in the journal, is returned unchanged. People in Discord do not read which
    server it was; an `operator` does. Raises `TypeError` for an unknown kind.
    """
    if isinstance(reason, str):
        return reason
    if isinstance(reason, JobReason):
        return job_reason_text(reason, operator=operator)
    if isinstance(reason, NetworkReason):
        return network_reason_text(reason, operator=operator)
    if isinstance(reason, MediaReason):
        return media_reason_text(reason)
    if isinstance(reason, LimitReason):
        return limit_reason_text(reason)
    return sentence(_text(reason, operator=operator))


def _text(reason: Reason, *, operator: bool = False) -> str:
    if isinstance(reason, WrappedReason):
        return _wrapped_text(reason, operator=operator)
    if isinstance(reason, ValueReason):
        return value_text(reason)
    if isinstance(reason, BindingReason):
        return binding_text(reason)
    if isinstance(reason, WorkflowFileReason):
        return file_text(reason)
    if isinstance(reason, GraphReason):
        return graph_text(reason)
    if isinstance(reason, PictureGraphReason):
        return variation_text(reason)
    if isinstance(reason, EditorFormatReason):
        return editor_format_text(reason)
    if isinstance(reason, KeyReason):
        return key_text(reason)
    if isinstance(reason, ManifestReason):
        return manifest_text(reason)
    if isinstance(reason, DiscoveryReason):
        return discovery_text(reason)
    if isinstance(reason, AvailabilityReason):
        return availability_text(reason)
    if isinstance(reason, InputCheckReason):
        return input_check_text(reason)
    if isinstance(reason, LinkReason):
        return link_text(reason)
    if isinstance(reason, AuditReason):
        return audit_text(reason)
    if isinstance(reason, LastVersionKept):
        return f"{_text(reason.problem)} Its last good version is kept."
    if isinstance(reason, ServiceReason):
        return service_text(reason)
    raise TypeError(f"{type(reason).__name__} has no sentence")


def _wrapped_text(reason: WrappedReason, *, operator: bool) -> str:
    match reason:
        case PlainText(text=text):
            return text
        case InFile(file=file, problem=problem, line=line):
            return f"{path_text(file)}{f', line {line}' if line else ''}: {_text(problem)}"
        case InPreset(preset=preset, problem=problem):
            return f"the preset {shortened(preset)}: {_text(problem)}"
        case RunsOnNoServer(workflow=workflow, errors=errors):
            named = [(f"{shortened(server)}: " if operator else "", _text(problem)) for server, problem in errors]
            problems = " ".join(dict.fromkeys(f"{server}{problem}" for server, problem in named))
            return f"No server can run {quoted(workflow)}. {problems}".rstrip()
        case _:
            assert_never(reason)
