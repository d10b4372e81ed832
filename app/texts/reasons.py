"""Renders any reason."""

from __future__ import annotations

from app.file_reasons import MediaReason
from app.job_reasons import JobReason
from app.reasons import Reason
from app.server_reasons import NetworkReason
from app.texts.file_reasons import media_reason_text
from app.texts.job_reasons import job_reason_text
from app.texts.server_reasons import network_reason_text


def reason_text(reason: Reason | str, *, operator: bool = False) -> str:
    """The sentence for a reason. A text, which an earlier version stored in the journal, is returned unchanged.

    People in Discord do not read which server it was; an `operator` does. Raises `TypeError` for a reason that belongs
    to no group of this package.
    """
    if isinstance(reason, str):
        return reason
    if isinstance(reason, JobReason):
        return job_reason_text(reason, operator=operator)
    if isinstance(reason, NetworkReason):
        return network_reason_text(reason, operator=operator)
    if isinstance(reason, MediaReason):
        return media_reason_text(reason)
    raise TypeError(f"{type(reason).__name__} has no sentence")
