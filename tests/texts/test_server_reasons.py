"""What people and operators read about a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reasons import Reason
from app.reasons.jobs import kind_of
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
from app.texts.reasons.text import reason_text
from tests.texts.reasons import LOSSES, REFUSALS, reasons_of

LONGEST = 500
"""Characters of any of these sentences, except those that list problems of several nodes."""

LONGEST_LIST = 3000
"""Characters of three problems, each with its node, its input, its value and what the server has instead."""

LISTS = (NodesInvalid, PartDropped)

LOST: list[tuple[NetworkReason, str]] = [
    (RefusedConnection(), "The server refuses the connection. Start ComfyUI, or check the port."),
    (UnknownHost(), "The server's name is unknown. Check the address."),
    (OutOfReach("Network is unreachable"), "The server cannot be reached: Network is unreachable."),
    (NoAnswer(5.0), "The server did not answer within 5 s."),
    (SaysNothing(0.2), "The server sent nothing for 0.2 s."),
    (TooSlow(), "The server sends too slowly."),
    (TooSlow(60.3), "The server did not finish within 60 s."),
    (TooManyRequests(), "Too many requests wait for the server."),
    (HungUp(), "The server closed the connection."),
    (HungUp(1011), "The server closed the connection (code 1011)."),
    (CutShort(4, 8), "The server sent 4 of 8 bytes of a file."),
    (NoPong(), "The server no longer answers pings."),
    (SocketDeaf(), "The websocket no longer delivers what the server sends."),
    (UntrustedCertificate("self-signed"), "The server's certificate is not trusted: self-signed."),
    (
        TlsFailed("WRONG_VERSION_NUMBER"),
        "The server does not speak TLS on this port. Try http:// instead of https://.",
    ),
    (TlsFailed("TLSV1_ALERT"), "TLS with the server failed: TLSV1_ALERT."),
    (CaFileUnreadable("No such file"), "The CA file cannot be read: No such file."),
    (NotHttp(), "The server does not speak HTTP on this port. Check the address."),
    (ProxyError(502), "A proxy answers 502, because it does not reach the server."),
    (HandshakeRefused(403), "The server answers 403 to the websocket's handshake."),
    (HandshakeInvalid(), "The server's answer to the websocket's handshake is invalid."),
    (FrameInvalid("reserved bits"), "The server sent an invalid frame: reserved bits."),
    (FrameTooLarge(2**28), "The server sent a frame of more than 256 MiB."),
    (LibraryError("KeyError"), "The connection broke: KeyError."),
    (WorkerAway(), "The server's worker is away. Start it with “atelier work”."),
    (EngineAway("Connection refused"), "The engine (Valkey) cannot be reached: Connection refused."),
    (EngineRefuses("WRONGPASS"), "The engine (Valkey) refuses: WRONGPASS."),
]

REFUSED: list[tuple[RefusalReason, str, str]] = [
    (NodesInvalid(), "The server refused the workflow without saying why.", ""),
    (NodesInvalid((InputMissing("S", "text"),), 2), "“S” needs its input “text”. And 2 more.", ""),
    (
        PartDropped((LinkBroken("S"),)),
        "Part of the workflow was left out. “S” is connected to something that is missing. Export the workflow again.",
        "",
    ),
    (NoOutput(), "The workflow has no output. Add a node that saves something, such as Save Image.", ""),
    (UnknownNodeClass("Magic", "X"), "The server does not have “Magic” (X). Install its custom node there.", ""),
    (NotApiFormat(), "This is not a workflow in API format. In ComfyUI, choose Workflow > Export (API).", ""),
    (WorkflowRefused(), "The server refused the workflow without saying why.", ""),
    (WorkflowRefused("No prompt provided"), "The server refused the workflow: No prompt provided.", ""),
    (WorkflowTooLarge(), "The workflow is larger than the server accepts (usually 100 MB).", ""),
    (WorkflowUnsendable(), "A text in this workflow has a broken character, or its values are nested too deep.", ""),
    (NodeDamaged("3"), "The workflow is damaged: the inputs of node 3 are not a table.", ""),
    (
        NoChoices("ckpt_name", "Loader"),
        "The server has nothing for “ckpt_name” of Loader. Put a model there first.",
        "",
    ),
    (UploadTooLarge(3 * 2**20), "Choose a smaller file: the server does not accept 3 MiB.", ""),
    (UploadRefused(), "Try another file: the server does not accept this one.", ""),
    (ResultGone("a.png"), "A result (a.png) is no longer on the server.", ""),
    (ResultTooLarge("a.mp4", 2**30), "A result (a.mp4) is larger than 1 GiB, so it stays on the server.", ""),
    (
        CredentialsRefused(),
        "The image server refuses the bot's credentials: tell the people who run this bot.",
        "The server refuses our credentials. Check its headers in atelier.toml.",
    ),
    (ServerError(500), "The server failed on this request (500). Its log says why.", ""),
    (
        UnexpectedStatus(302),
        "The image server gives an unexpected answer (302): tell the people who run this bot.",
        "The server answers 302. Check that its address is that of a ComfyUI.",
    ),
    (AnswerTooLarge(2**26), "The server answers with more than 64 MiB, which is too much to read.", ""),
    (
        AnswerInvalid("DecodingError"),
        "The image server's answer cannot be read: tell the people who run this bot.",
        "The server's answer cannot be read: DecodingError.",
    ),
    (
        NotComfyUI(),
        "The image server's answer cannot be read: tell the people who run this bot.",
        "What answers is not ComfyUI. Check the address.",
    ),
    (
        NotComfyUI("text/html"),
        "The image server's answer cannot be read: tell the people who run this bot.",
        "What answers is not ComfyUI: it sends text/html. Check the address.",
    ),
]
"""Each reason, what people read, and what an operator reads if that is something else."""

PROBLEMS: list[tuple[NodeProblem, str]] = [
    (ValueNotListed("S", "lora", "x"), "“S” has no lora called “x”."),
    (ValueNotListed("S", "lora", "x", ()), "“S” has no lora called “x”, and none at all."),
    (ValueNotListed("S", "lora", "x", ("a", "b")), "“S” has no lora called “x”: choose a, b."),
    (ValueTooSmall("S", "steps", "0", "1"), "“S”: steps is 0, but must be at least 1."),
    (ValueTooLarge("S", "cfg", "101", "100"), "“S”: cfg is 101, but must be at most 100."),
    (ValueInvalid("S", "seed", "x"), "“S”: “x” is not a value for seed."),
    (InputMissing("S", "text"), "“S” needs its input “text”."),
    (LinkBroken("S"), "“S” is connected to something that is missing. Export the workflow again."),
    (LinkMismatch("S", "model"), "“S”: what is connected to model has the wrong type."),
    (LinksCircular("S"), "“S” waits for its own result: its connections run in a circle."),
    (NodeInvalid("S", "image - Invalid"), "“S”: image - Invalid."),
    (NodeInvalid("S", ""), "“S” was refused."),
]


@pytest.mark.parametrize(("reason", "sentence"), LOST)
def test_only_an_operator_reads_why_a_server_cannot_be_reached(reason: NetworkReason, sentence: str) -> None:
    assert reason_text(reason, operator=True) == sentence
    assert reason_text(reason) == "The image server does not answer."


@pytest.mark.parametrize(("reason", "people", "operator"), REFUSED)
def test_a_refusal_is_one_sentence_for_people_and_one_for_operators(
    reason: RefusalReason, people: str, operator: str
) -> None:
    assert reason_text(reason) == people
    assert reason_text(reason, operator=True) == (operator or people)


@pytest.mark.parametrize(("problem", "sentence"), PROBLEMS)
def test_each_problem_of_a_node_is_a_sentence(problem: NodeProblem, sentence: str) -> None:
    assert reason_text(NodesInvalid((problem,))) == sentence


@pytest.mark.parametrize("kind", [*LOSSES, *REFUSALS])
@given(data=st.data())
def test_whatever_the_facts_are_the_sentence_is_one_line_of_limited_length(
    kind: type[Reason], data: st.DataObject
) -> None:
    reason = data.draw(reasons_of(kind))
    for operator in (False, True):
        text = reason_text(reason, operator=operator)
        assert text.isprintable()
        assert 0 < len(text) <= (LONGEST_LIST if kind in LISTS else LONGEST)


def test_no_kind_is_missing_above_and_each_keeps_its_name() -> None:
    assert {type(reason) for reason, _ in LOST} == set(LOSSES) - {NotComfyUI}
    assert {type(reason) for reason, _, _ in REFUSED} == set(REFUSALS)
    for reason in [reason for reason, _, _ in REFUSED] + [problem for problem, _ in PROBLEMS]:
        assert kind_of(reason) == type(reason).__name__
