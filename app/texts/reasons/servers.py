"""The sentences about ComfyUI servers: why one cannot be reached, and what one refused."""

from __future__ import annotations

from typing import assert_never

from app.reasons.servers import (
    AnswerInvalid,
    AnswerTooLarge,
    CaFileUnreadable,
    CredentialsRefused,
    CutShort,
    EngineAway,
    EngineRefuses,
    FrameInvalid,
    FrameTooLarge,
    HandshakeInvalid,
    HandshakeRefused,
    HungUp,
    InputMissing,
    LibraryError,
    LinkBroken,
    LinkMismatch,
    LinksCircular,
    NetworkReason,
    NoAnswer,
    NoChoices,
    NodeDamaged,
    NodeInvalid,
    NodeProblem,
    NodesInvalid,
    NoOutput,
    NoPong,
    NotApiFormat,
    NotComfyUI,
    NotHttp,
    OutOfReach,
    PartDropped,
    ProxyError,
    RefusalReason,
    RefusedConnection,
    ResultGone,
    ResultTooLarge,
    SaysNothing,
    ServerError,
    ServerReason,
    SocketDeaf,
    TlsFailed,
    TooManyRequests,
    TooSlow,
    UnexpectedStatus,
    UnknownHost,
    UnknownNodeClass,
    UntrustedCertificate,
    UploadRefused,
    UploadTooLarge,
    ValueInvalid,
    ValueNotListed,
    ValueTooLarge,
    ValueTooSmall,
    WorkerAway,
    WorkflowRefused,
    WorkflowTooLarge,
    WorkflowUnsendable,
)
from app.texts.wording import brief, message_text

NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
"""OpenSSL's names for an answer that is not TLS."""

NO_REASON = "The server refused the workflow without saying why."

OFFLINE = "The image server does not answer."

ASK = "tell the people who run this bot"


def network_reason_text(reason: NetworkReason, *, operator: bool) -> str:
    """The sentence for a lost connection; only an `operator` reads what exactly went wrong."""
    if not operator:
        return OFFLINE
    match reason:
        case RefusedConnection():
            return "The server refuses the connection. Start ComfyUI, or check the port."
        case UnknownHost():
            return "The server's name is unknown. Check the address."
        case OutOfReach(message=message):
            return f"The server cannot be reached: {message_text(message)}"
        case NoAnswer(seconds=seconds):
            return f"The server did not answer within {seconds:g} s."
        case SaysNothing(seconds=seconds):
            return f"The server sent nothing for {seconds:g} s."
        case TooSlow(seconds=seconds):
            return f"The server did not finish within {seconds:.0f} s." if seconds else "The server sends too slowly."
        case TooManyRequests():
            return "Too many requests wait for the server."
        case HungUp(code=code):
            return f"The server closed the connection (code {code})." if code else "The server closed the connection."
        case CutShort(received=received, expected=expected):
            return f"The server sent {received} of {expected} bytes of a file."
        case NoPong():
            return "The server no longer answers pings."
        case SocketDeaf():
            return "The websocket no longer delivers what the server sends."
        case UntrustedCertificate(message=message):
            return f"The server's certificate is not trusted: {message_text(message)}"
        case TlsFailed(message=message) if message in NO_TLS:
            return "The server does not speak TLS on this port. Try http:// instead of https://."
        case TlsFailed(message=message):
            return f"TLS with the server failed: {message_text(message)}"
        case CaFileUnreadable(message=message):
            return f"The CA file cannot be read: {message_text(message)}"
        case NotHttp():
            return "The server does not speak HTTP on this port. Check the address."
        case ProxyError(status=status):
            return f"A proxy answers {status}, because it does not reach the server."
        case HandshakeRefused(status=status):
            return f"The server answers {status} to the websocket's handshake."
        case HandshakeInvalid():
            return "The server's answer to the websocket's handshake is invalid."
        case FrameInvalid(message=message):
            return f"The server sent an invalid frame: {message_text(message)}"
        case FrameTooLarge(limit=limit):
            return f"The server sent a frame of more than {_size(limit)}."
        case LibraryError(exception=exception):
            return f"The connection broke: {brief(exception)}."
        case NotComfyUI():
            return _not_comfyui(reason)
        case WorkerAway():
            return "The server's worker is away. Start it with “atelier work”."
        case EngineAway(message=message):
            return f"The engine (Valkey) cannot be reached: {message_text(message)}"
        case EngineRefuses(message=message):
            return f"The engine (Valkey) refuses: {message_text(message)}"
        case _:
            assert_never(reason)


def server_reason_text(reason: ServerReason) -> str:
    """The sentence for any of these reasons, for an operator."""
    if isinstance(reason, NetworkReason):
        return network_reason_text(reason, operator=True)
    return refusal_text(reason, operator=True)


def refusal_text(reason: RefusalReason, *, operator: bool) -> str:
    """The sentence for a refusal. An `operator` reads what to change in the configuration."""
    match reason:
        case NodesInvalid():
            return _problems(reason) or NO_REASON
        case PartDropped():
            return f"Part of the workflow was left out. {_problems(reason)}".rstrip()
        case NoOutput():
            return "The workflow has no output. Add a node that saves something, such as Save Image."
        case UnknownNodeClass(node=node, class_type=class_type):
            return f"The server does not have “{brief(node)}” ({brief(class_type)}). Install its custom node there."
        case NotApiFormat():
            return "This is not a workflow in API format. In ComfyUI, choose Workflow > Export (API)."
        case WorkflowRefused(message=message):
            words = message_text(message)
            return f"The server refused the workflow: {words}" if words else NO_REASON
        case WorkflowTooLarge():
            return "The workflow is larger than the server accepts (usually 100 MB)."
        case WorkflowUnsendable():
            return "A text in this workflow has a broken character, or its values are nested too deep."
        case NodeDamaged(node=node):
            return f"The workflow is damaged: the inputs of node {brief(node)} are not a table."
        case NoChoices(input=name, class_type=class_type):
            return f"The server has nothing for “{brief(name)}” of {brief(class_type)}. Put a model there first."
        case UploadTooLarge(size=size):
            return f"Choose a smaller file: the server does not accept {_size(size)}."
        case UploadRefused():
            return "Try another file: the server does not accept this one."
        case ResultGone(name=name):
            return f"A result ({brief(name)}) is no longer on the server."
        case ResultTooLarge(name=name, limit=limit):
            return f"A result ({brief(name)}) is larger than {_size(limit)}, so it stays on the server."
        case CredentialsRefused():
            if operator:
                return "The server refuses our credentials. Check its headers in atelier.toml."
            return f"The image server refuses the bot's credentials: {ASK}."
        case ServerError(status=status):
            return f"The server failed on this request ({status}). Its log says why."
        case UnexpectedStatus(status=status):
            if operator:
                return f"The server answers {status}. Check that its address is that of a ComfyUI."
            return f"The image server gives an unexpected answer ({status}): {ASK}."
        case AnswerTooLarge(limit=limit):
            return f"The server answers with more than {_size(limit)}, which is too much to read."
        case AnswerInvalid(message=message):
            return f"The server's answer cannot be read: {message_text(message)}" if operator else _unreadable()
        case NotComfyUI():
            return _not_comfyui(reason) if operator else _unreadable()
        case _:
            assert_never(reason)


def _unreadable() -> str:
    return f"The image server's answer cannot be read: {ASK}."


def _not_comfyui(reason: NotComfyUI) -> str:
    sent = f": it sends {brief(reason.sent)}" if reason.sent else ""
    return f"What answers is not ComfyUI{sent}. Check the address."


def _problems(reason: NodesInvalid | PartDropped) -> str:
    sentences = " ".join(map(_problem, reason.problems))
    return f"{sentences} And {reason.more} more." if reason.more and sentences else sentences


def _problem(problem: NodeProblem) -> str:
    node = f"“{brief(problem.node)}”"
    match problem:
        case ValueNotListed(input=name, value=value, choices=choices):
            start = f"{node} has no {brief(name)} called “{brief(value)}”"
            if choices is None:
                return f"{start}."
            return f"{start}: choose {', '.join(map(brief, choices))}." if choices else f"{start}, and none at all."
        case ValueTooSmall(input=name, value=value, limit=limit):
            return f"{node}: {brief(name)} is {brief(value)}, but must be at least {brief(limit)}."
        case ValueTooLarge(input=name, value=value, limit=limit):
            return f"{node}: {brief(name)} is {brief(value)}, but must be at most {brief(limit)}."
        case ValueInvalid(input=name, value=value):
            return f"{node}: “{brief(value)}” is not a value for {brief(name)}."
        case InputMissing(input=name):
            return f"{node} needs its input “{brief(name)}”."
        case LinkBroken():
            return f"{node} is connected to something that is missing. Export the workflow again."
        case LinkMismatch(input=name):
            return f"{node}: what is connected to {brief(name)} has the wrong type."
        case LinksCircular():
            return f"{node} waits for its own result: its connections run in a circle."
        case NodeInvalid(message=message):
            return f"{node}: {message_text(message)}" if message_text(message) else f"{node} was refused."
        case _:
            assert_never(problem)


def _size(size: int) -> str:
    return f"{size / 2**30:.0f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
