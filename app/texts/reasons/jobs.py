"""The sentences about jobs: why one waits, how it ended, and what is unusual about its result."""

from __future__ import annotations

from app.reasons.jobs import (
    BatchIncomplete,
    CancelUnconfirmed,
    ForgottenByServer,
    HistoryUnreadable,
    HoursUsedUp,
    InputUnreadable,
    InternalError,
    JobReason,
    NeverKept,
    NodeBlocked,
    NodeFailed,
    NoProgress,
    NoRoom,
    NothingChanged,
    NothingProduced,
    OutOfMemory,
    PaidRunLost,
    PictureMissed,
    PromptIdRepeated,
    ResultNotFetched,
    ResultsMissing,
    ResultUnwritable,
    SentAgain,
    ServersDrained,
    ServersOff,
    ServersOffline,
    ServersStarting,
    StoppedOnServer,
    TimeLimitReached,
    TooManyResults,
)
from app.texts.reasons.servers import refusal_text, server_reason_text
from app.texts.wording import brief, message_text

MOST_SERVERS = 300
"""Characters of a list of servers."""


def job_reason_text(reason: JobReason, *, operator: bool) -> str:
    """The sentence for a reason. An `operator` also reads names of servers and messages of the system."""
    match reason:
        case ServersOffline(servers=servers):
            if operator:
                return f"Waiting for {brief(' and '.join(servers), MOST_SERVERS)} to answer."
            return "The image server is offline. Your place is kept."
        case ServersDrained(servers=servers):
            if operator and servers:
                return f"Waiting until {brief(' or '.join(servers), MOST_SERVERS)} is resumed (servers resume NAME)."
            if operator:
                return "Waiting for a server that may run it: see “workflows” in atelier.toml."
            return "The image server takes no new jobs for now. Your place is kept."
        case ServersStarting(servers=servers):
            if operator:
                return f"Waiting for {brief(' and '.join(servers), MOST_SERVERS)} to start."
            return "The image server is being started."
        case ServersOff(servers=servers):
            if operator:
                return f"Waiting until {brief(' or '.join(servers), MOST_SERVERS)} is started, which the bot does."
            return "The image server is off, and will be started soon. Your place is kept."
        case HoursUsedUp(servers=servers):
            if operator:
                which = brief(" and ".join(servers), MOST_SERVERS)
                return f"Waiting until {which} may be on again: see “most_hours_per_day” in atelier.toml."
            return "The image server has worked enough for today, and starts again later. Your place is kept."
        case NoRoom():
            if operator:
                return "Waiting until the disk for the results has room."
            return "There is no room for results at the moment. Your place is kept."
        case SentAgain():
            return "The server forgot this job, so it is sent again."
        case NoProgress(server=server, seconds=seconds, stuck=stuck):
            where = f" on {brief(server)}" if operator else ""
            sentence = f"Still running{where}, but without any progress for {seconds:.0f} s."
            return f"{sentence} It may be stuck: you can cancel it." if stuck else sentence
        case NodeFailed(node=node, message=words):
            who = f"“{brief(node)}”" if node else "The server"
            return (
                f"{who} failed: {message_text(words)}"
                if message_text(words)
                else f"{who} failed, and does not say why."
            )
        case OutOfMemory(node=node):
            at = f" at “{brief(node)}”" if node and operator else ""
            return f"The server ran out of memory{at}. Choose a smaller size or fewer pictures."
        case HistoryUnreadable():
            return "The server's record of this job cannot be read."
        case InputUnreadable(message=words):
            return f"A file of this job can no longer be read.{_system(words, operator=operator)}"
        case InternalError(id=identifier):
            return f"Something went wrong (id {brief(identifier)})."
        case StoppedOnServer():
            return "Somebody stopped it on the server."
        case TimeLimitReached(seconds=seconds):
            return f"The time limit of {seconds:g} s (--timeout) was reached."
        case CancelUnconfirmed(after=after):
            doubt = "The server did not confirm it, and may still run it."
            return f"{job_reason_text(after, operator=operator)} {doubt}" if after is not None else doubt
        case ForgottenByServer(server=server, times=times):
            return f"{brief(server) if operator else 'The server'} forgot it {times} times while working on it."
        case NeverKept(tries=tries):
            return f"It was sent {tries} times, and no server kept it. Try again later."
        case PromptIdRepeated(server=server):
            where = brief(server) if operator else "The server"
            return f"{where} gave it the id of another job, so it cannot be followed. The server needs an update."
        case PaidRunLost(server=server):
            where = brief(server) if operator else "The server"
            return f"{where} lost track of it, and it may have been paid for. Press Retry to pay for another run."
        case NodeBlocked(node=node):
            return f"“{brief(node)}” was blocked, so what depends on it did not run."
        case PictureMissed():
            return "Run it again: a picture that the server sends only once was lost."
        case NothingProduced():
            return "The workflow finished, but made no file and no text."
        case NothingChanged():
            return "Nothing changed since an earlier run, so this is the same result."
        case ResultNotFetched(name=name, cause=cause):
            why = f" {message_text(server_reason_text(cause))}" if cause is not None and operator else ""
            return f"A result ({brief(name)}) could not be downloaded from the server.{why}"
        case ResultsMissing(arrived=arrived, total=total):
            return f"{arrived} of {total} results arrived. The others are still on the server."
        case BatchIncomplete(made=made, total=total, cancelled=cancelled):
            others = "; the others were cancelled" if cancelled else ""
            return f"{made} of {total} pictures were made{others}."
        case TooManyResults(total=total, kept=kept):
            return f"The workflow made {total} files; these are the first {kept}."
        case ResultUnwritable(message=words, name=name):
            which = f"A result ({brief(name)})" if name and operator else "A result"
            return f"{which} could not be saved on the bot's disk.{_system(words, operator=operator)}"
        case _:
            return refusal_text(reason, operator=operator)


def _system(words: str, *, operator: bool) -> str:
    """A message of the operating system, for an operator."""
    return f" ({brief(words)})" if words and operator else ""
