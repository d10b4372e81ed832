"""What a simulation is made of: who wishes for what, and what goes wrong when. A seed draws it, or hypothesis."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

OnTheWay: TypeAlias = Literal[
    "drop",  # every websocket is cut
    "half_open",  # the sockets stay, nothing comes any more, and no pong
    "deaf",  # the sockets stay, answer pings, and hear nothing (ComfyUI#16010)
    "stall",  # somebody does not read, so nobody hears anything
    "refuse",  # nothing is answered, and what was under way is cut
    "refuse_sockets",  # only HTTP is answered
    "hang",  # requests are taken, and nothing comes back until we give up
    "delay",  # requests and answers overtake each other
    "late_answers",  # what a server says of its queue and its history comes long after it was true
    "lose_replies",  # requests have their effect, and no answer
    "slow_frames",  # frames come late, behind the answers to what we asked meanwhile
    "duplicate",  # frames come twice
    "garbage",  # frames nobody knows, and previews that break off
    "wrong_frames",  # frames about our own prompts, with values of wrong types and sizes
    "mute",  # sockets open, say nothing at all, and close
    "stranger",  # something else answers on the socket before the greeting
    "hang_up",  # sockets are lost after the first frames, or before them
    "send_fails",  # sockets are lost while we send
    "malformed",  # HTTP answers that no ComfyUI gives
]
"""Between the bot and a server."""

AtAServer: TypeAlias = Literal[
    "restart",  # it forgets queue and history
    "forget_pending",  # somebody else clears the queue
    "forget_history",  # somebody else clears the history
    "forget_prompt",  # somebody else deletes one of our prompts
    "interrupt",  # somebody else interrupts what runs
    "others",  # somebody else has work, too
    "post_500",  # a POST breaks, and had no effect
    "post_500_effect",  # a POST breaks, and was taken all the same (measured, T19)
]

AtHome: TypeAlias = Literal[
    "kill",  # the bot dies, and is started again
    "stop",  # SIGTERM: it stops, or drains first if the plan says so, and is started again
    "disk_full",  # the journal cannot be written for a while, and the bot waits
    "journal_damaged",  # the journal cannot be written, so the bot ends, and somebody repairs it
    "results_full",  # results cannot be written
]

InDiscord: TypeAlias = Literal[
    "board_away",  # it does not answer
    "board_forgets",  # it shows, but its answers are lost
    "rate_limit",  # 429: it lets us wait
    "expire_tokens",  # the tokens of all interactions so far are no good any more
    "message_deleted",  # somebody deletes the message of a job
]

Unexpected: TypeAlias = Literal[
    "break_post",  # sending a prompt raises what no port may raise
    "break_ticket",  # the answer to a POST does, when it is read
    "break_history",  # asking for a history does
    "break_entry",  # a history does, when it is read
    "break_withdraw",  # asking to have a prompt dropped does
    "break_fetch",  # fetching a result does
    "break_keep",  # writing a picture from the websocket does
    "break_signal",  # counting a job's progress does
    "break_look",  # asking for the queue does
    "break_message",  # showing a job in Discord does
]
"""A mistake in our own code or in a library, for one job; "break_look" is for one server."""

ByPeople: TypeAlias = Literal[
    "press_cancel", "press_retry", "press_again", "press_vary", "press_delete", "operator_cancel", "operator_retry"
]
"""A button of any message, old or new, is pressed; or an operator leaves a request in the journal."""

WrongServer: TypeAlias = Literal[
    "die",  # it never comes back; only where another can make everything
    "removed",  # it dies, and the bot is started again without it in the configuration
    "long_outage",  # it is away for longer than jobs wait for it
    "unread_history",  # the history of the next prompt that ends cannot be read, ever
    "queue_500",  # its queue cannot be read for a while
    "view_500",  # it fails while it reads a few files
    "cut_short",  # downloads end before the announced length for a while
    "slow_view",  # downloads are too slow for a while
]
"""A server that is wrong, or does not come back."""

Changed: TypeAlias = Literal[
    "sync_fails",  # a commit reaches the journal's file, and is reported as failed
    "journal_locked",  # another program writes to the journal for a while
    "clock_jumps",  # the clock of the bot's machine is set forward or back, by seconds or by days
    "upgrade",  # a server is restarted with the other version of ComfyUI
]
"""What changes under the bot: the file of its journal, its clock, the version of a server."""

Refusal: TypeAlias = Literal[
    "channel_closed",  # the channel takes nothing for a while: an archived thread, a missing permission
    "nowhere",  # no channel takes anything, and no person does
    "pictures_refused",  # no message takes new pictures when it is edited
]
"""What Discord refuses."""

Answer: TypeAlias = Literal[
    "discord_hangs",  # calls about one message, or about one channel, are not answered for a while
    "discord_slow",  # each call takes some seconds
    "odd_answers",  # every other call about a message is answered with an error, some of them after it was done
    "channel_removed",  # the channel is removed, and people go on in direct messages
]
"""How Discord answers."""

ByOperators: TypeAlias = Literal[
    "drain_server",  # a server is drained, and resumed later
    "drain_all",  # all are drained, and resumed later
    "remove_server",  # a server is removed from the configuration, and added again later
    "remove_all",  # all are removed, and with them the last ones that can run a workflow; they are added again later
    "change_server",  # a server gets another weight, another patience or other workflows for a while
    "move_server",  # a server gets other headers, so it is removed and added again
]
"""What operators do to servers while the bot runs."""

Edit: TypeAlias = Literal["press_edit"]
"""Somebody edits a job that waits; with a moment, the form is filled in before it and sent exactly then."""

InFleet: TypeAlias = Literal[
    "kill_front",  # a front dies, and is started again
    "stop_front",  # a front is told to stop, and is started again
    "freeze_front",  # a front stands still for a while, and goes on as if nothing had happened
    "cut_front",  # a front cannot reach the engine; it still reaches Discord
    "kill_worker",  # a worker dies, and is started again
    "freeze_worker",  # a worker stands still for a while
    "cut_worker",  # a worker cannot reach the engine; it still reaches its ComfyUI
    "slow_engine",  # commands of all processes are slow, and overtake each other
    "silent_engine",  # what a process sends arrives when it no longer waits for the answer
    "lost_answers",  # the engine does what a process asks, and its answers are lost
    "doubled_commands",  # the engine does what a process asks twice
    "fail_over",  # the engine forgets its last second
    "flush",  # the engine forgets everything
    "engine_full",  # the engine takes nothing new
]
"""What happens to fronts, to workers, and to the engine between them."""

Kind: TypeAlias = (
    OnTheWay
    | AtAServer
    | AtHome
    | InDiscord
    | Unexpected
    | ByPeople
    | WrongServer
    | Changed
    | Refusal
    | Answer
    | ByOperators
    | Edit
    | InFleet
)
GROUPS: tuple[tuple[Kind, ...], ...] = tuple(
    map(get_args, (OnTheWay, AtAServer, AtHome, InDiscord, Unexpected, ByPeople))
)
KINDS: tuple[Kind, ...] = tuple(kind for group in GROUPS for kind in group)
WRONG_SERVERS: tuple[Kind, ...] = get_args(WrongServer)
"""Drawn by themselves: see `_with_wrong_servers`."""
CHANGED: tuple[Kind, ...] = get_args(Changed)
REFUSALS: tuple[Kind, ...] = get_args(Refusal)
ANSWERS: tuple[Kind, ...] = get_args(Answer)
"""Drawn by themselves: see `_with_more`."""
OPERATORS: tuple[Kind, ...] = get_args(ByOperators)
"""Drawn by themselves: see `_with_operators`."""

IN_FLEETS: tuple[Kind, ...] = get_args(InFleet)
"""Drawn by themselves: see `tests.simulation.engine.fleet_plan`."""

CROWDED: tuple[Kind, ...] = (
    *("die", "removed", "long_outage", "restart", "drop"),
    *("kill", "stop", "view_500", "operator_cancel", "press_again"),
)
"""What happens in the worlds with many jobs."""

GONE: frozenset[Kind] = frozenset({"die", "removed"})

WEATHERS: tuple[Kind, ...] = ("delay", "late_answers", "slow_frames")
"""What lasts for long, harms nothing by itself, and is what makes a strike in the middle of it hard."""

Moment: TypeAlias = Literal[
    "post",  # a prompt is on its way to a server
    "taken",  # a server has taken it, and has not said so yet
    "look",  # we ask for the queue
    "history",  # we ask how a prompt ended
    "read",  # its server has looked it up, and the answer is on its way
    "withdraw",  # we ask to have one dropped
    "view",  # we fetch a result
    "started",  # the websocket says that a prompt runs
    "ended",  # the websocket says that one ended
    "commit",  # something is about to be committed
    "committed",  # something was committed, and nobody knows yet
    "shown",  # a message was edited
    "notified",  # a notification was posted, and the bot does not know it yet
    "departing",  # a front may show something, and its request is not on its way yet
    "thinking",  # somebody was told that the bot thinks, and the dispatcher has not got the request yet
]
OF_FEW: frozenset[Moment] = frozenset({"notified", "departing", "thinking"})
MOMENTS: tuple[Moment, ...] = tuple(moment for moment in get_args(Moment) if moment not in OF_FEW)
"""Those of any world; not every one has notifications, or several fronts."""

EDITED: tuple[Moment, ...] = ("ended", "history", "read", "commit", "committed", "post", "taken", "withdraw", "shown")
"""When forms are sent: while a place at a server becomes free, and while the next job is sent there."""

WITH_EDITS: tuple[Kind, ...] = ("press_cancel", "kill", "restart", "refuse", "drop")
"""What happens at the same moment."""

Ending: TypeAlias = Literal["well", "breaks", "refused"]
"""What a server makes of a prompt that is left in peace: a picture, an error while it runs, a 400."""

Result: TypeAlias = Literal["one", "two", "streamed", "edited", "many"]
"""One picture in a file, two of two nodes, one that comes through the websocket, one from an uploaded picture, which
also leaves a temporary file and a text, or more pictures than one message takes."""

LONGEST_ANSWERS = 60.0
"""Seconds for which Discord answers in an odd way: longer than the bot waits for an answer."""

LONGEST_CHANGE = 120.0
"""Seconds for which operators change a server."""

TROUBLE = 300.0
"""Seconds in which things go wrong; after that all is well, and everything has to end."""

MOST_PICTURES = 6
"""Pictures that people ask for in one request, at most."""

MOST_JOBS = 12
"""Jobs that buttons and operators may add to those that a world begins with."""

PICTURE = 5.0, 60.0
"""Seconds of a picture, at least and at most, on the machines that people have at home."""

FILM = 60.0, 1800.0
"""Seconds of a film: a token expires while it is made."""


class Fault(Struct, frozen=True):
    """At `at` seconds, for `seconds` where it lasts; `which` picks a job, a prompt or a number of requests.

    With `upon` it waits from `at` on for the next such moment, and strikes exactly there: what goes wrong between
    two steps of a job harms nobody.
    """

    at: float
    kind: Kind
    seconds: float
    which: int
    upon: Moment | None = None


class Want(Struct, frozen=True):
    """One person's wish, at `at` seconds, and after how many more they take it back; None for never.

    Without a `person`, it is that of somebody who has no other. `model` is what has to be loaded for it.

    It takes `seconds` in so many `steps`, and a `large` result is long on its way; `server` is the only one that can
    make it, None meaning that all can; `result` is what it makes, for each of `count` seeds.
    """

    at: float
    cancel: float | None = None
    seconds: float = 8.0
    steps: int = 4
    ending: Ending = "well"
    previews: bool = False
    large: bool = False
    server: int | None = None
    result: Result = "one"
    person: int | None = None
    model: str = ""
    count: int = 1


class Plan(Struct, frozen=True):
    """One world.

    `chance` seeds all that the plan leaves open; `modern` servers cancel a job in one request; a bot that is told
    to stop lets what runs come to its end if it is to `drain`. Each server needs `paces` times as long for everything,
    once if there are none; the first `mortal` ones may go away for good, because nobody needs exactly these.
    """

    chance: int
    wants: tuple[Want, ...]
    faults: tuple[Fault, ...]
    depth: int = 2
    servers: int = 1
    modern: bool = False
    drain: bool = False
    paces: tuple[float, ...] = ()
    mortal: int = 1
    notify: str = "off"
    """How people are notified who have chosen nothing: `notify` of the configuration."""
    fronts: int = 0
    """How many fronts there are; 0 for a bot alone. Fronts reach their servers through one worker for each."""
    trouble: float = TROUBLE
    """Seconds in which things go wrong."""

    @property
    def slowest(self) -> float:
        """The pace of the slowest server."""
        return max(self.paces, default=1.0)

    @property
    def has_batches(self) -> bool:
        """Whether people ask for several pictures at once."""
        return any(want.count > 1 for want in self.wants)

    @property
    def servers_change(self) -> bool:
        """Whether operators change the servers while the bot runs, or workers come and go."""
        return self.fronts > 0 or any(fault.kind in OPERATORS for fault in self.faults)


def calm_of(plan: Plan) -> float:
    """Seconds for everything to end once all is well: as if all of it were made on one server, and twice."""
    seconds = [want.seconds * (MOST_PICTURES if plan.has_batches else 1) for want in plan.wants]
    return 2 * plan.slowest * (sum(seconds) + MOST_JOBS * max(seconds, default=0.0)) + 900.0


class Storm(Struct, frozen=True):
    """A weather, and what strikes in the middle of it, at which moments: each finds a rule of its own at fault."""

    weather: Kind
    strikes: tuple[Kind, ...]
    upon: tuple[Moment, ...]


STORMS = (
    # Answers that are older than what we know by then.
    Storm("late_answers", ("forget_history",), ("read", "read", "look")),
    # Looks at a server that has not taken yet what is on its way there.
    Storm("delay", ("drop",), ("post",)),
    # Last words that were said, without our knowing it.
    Storm("board_forgets", ("message_deleted",), ("started", "ended", "read")),
)


def drawn(seed: int) -> Plan:
    """The plan of a seed."""
    plan = _with_wrong_servers(_drawn(seed))
    plan = _with_results(plan, "uploads", "edited", 0.6, ["one"])
    plan = _with_results(plan, "many", "many", 0.5, ["one", "two"])
    plan = _with_batches(plan)
    plan = _with_more(_with_more(plan, "changes", CHANGED), "refusals", REFUSALS)
    plan = _with_more(plan, "answers", ANSWERS, longest=LONGEST_ANSWERS)
    # Each notification takes two commits, so that they change all that follows in a world.
    notify = ("mention", "dm")[seed % 2] if seed % 5 == 2 else "off"
    return replace(_with_edits(_with_operators(plan, 4)), notify=notify)


def crowded(seed: int) -> Plan:
    """The plan of a seed with few people who want much, on one to sixteen servers, most of which may die or come back.

    The servers differ in pace, and so do the people: one of them asks for most. Some models fit some servers only.
    """
    rng = random.Random(f"crowded {seed}")
    servers = rng.choice((1, 2, 3, 4, 6, 8, 12, 16))
    mortal = rng.randint(1, max(1, servers - 1))
    people = rng.randint(2, 8)
    models = [f"model-{number}.safetensors" for number in range(rng.randint(1, 4))]
    began = rng.uniform(0, 30)

    def want(person: int, at: float) -> Want:
        drawn_want = _want(rng, round(at, 3), servers)
        alone = drawn_want.server if drawn_want.server is not None and drawn_want.server >= mortal else None
        seconds = _length(rng, (5.0, 120.0))
        return replace(drawn_want, person=person, model=rng.choice(models), seconds=seconds, server=alone)

    wants = [want(0, began) for _ in range(rng.randint(8, 20))]
    for person in range(1, people):
        at = rng.uniform(0, TROUBLE * 0.7)
        wants += [want(person, at + rng.uniform(0, 20)) for _ in range(rng.choice((1, 1, 2, 5)))]
    kinds = rng.sample(CROWDED, rng.randint(1, len(CROWDED)))
    faults = tuple(
        Fault(
            round(rng.uniform(began, TROUBLE - 60), 3),
            rng.choice(kinds),
            round(rng.uniform(1, 60), 3),
            rng.randrange(1000),
            rng.choice(MOMENTS) if rng.random() < 0.5 else None,
        )
        for _ in range(rng.randint(0, 3 + servers))
    )
    paces = tuple(round(math.exp(rng.uniform(math.log(0.3), math.log(4.0))), 3) for _ in range(servers))
    depth = rng.choice((1, 2, 2))
    plan = Plan(seed, tuple(wants), faults, depth, servers, rng.random() < 0.4, rng.random() < 0.3, paces, mortal)
    return _with_edits(_with_operators(_with_batches(plan), 8))


def _with_wrong_servers(plan: Plan) -> Plan:
    """The same plan, in every other world with servers that are wrong.

    They have dice of their own, so that a new kind of them does not change what else a seed draws.
    """
    rng = random.Random(f"wrong servers {plan.chance}")
    if rng.random() < 0.5:
        return plan
    kinds = rng.sample(WRONG_SERVERS, rng.randint(1, 3))
    wants, servers = plan.wants, plan.servers
    if GONE.intersection(kinds) or "long_outage" in kinds:
        servers = max(servers, rng.randint(2, 4))
        # Nothing needs the first server, the one that goes away.
        wants = tuple(replace(want, server=want.server and 1) for want in wants)
        wants = tuple(replace(want, server=None if want.server == 0 else want.server) for want in wants)
    faults = tuple(
        Fault(
            round(rng.uniform(0, TROUBLE - 100), 3),
            kind,
            round(rng.uniform(5, 60), 3),
            rng.randrange(1000),
            rng.choice(MOMENTS) if rng.random() < 0.5 else None,
        )
        for kind in kinds
        for _ in range(1 if kind in GONE else rng.randint(1, 3))
    )
    return replace(plan, wants=wants, servers=servers, faults=(*plan.faults, *faults))


def _with_results(plan: Plan, what: str, result: Result, share: float, instead_of: Sequence[Result]) -> Plan:
    """The same plan, in every third world with this share of some results replaced by another, by dice of their own."""
    rng = random.Random(f"{what} {plan.chance}")
    if rng.random() < 0.67:
        return plan
    wants = [
        replace(want, result=result)
        if want.result in instead_of and want.ending == "well" and rng.random() < share
        else want
        for want in plan.wants
    ]
    return replace(plan, wants=tuple(wants))


def _with_batches(plan: Plan) -> Plan:
    """The same plan, in every third world with some requests for several pictures, by dice of their own.

    Nobody asks for several films, nor for several times as many pictures as one message takes.
    """
    rng = random.Random(f"batches {plan.chance}")
    if rng.random() < 0.67:
        return plan
    wants = [
        replace(want, count=rng.randint(2, MOST_PICTURES))
        if want.seconds <= PICTURE[1] and want.result != "many" and rng.random() < 0.4
        else want
        for want in plan.wants
    ]
    return replace(plan, wants=tuple(wants))


def _with_more(plan: Plan, what: str, kinds: Sequence[Kind], *, longest: float = 20.0) -> Plan:
    """The same plan, in every third world with one to four faults of these kinds, of at most `longest` seconds.

    They have dice of their own, as wrong servers have.
    """
    rng = random.Random(f"{what} {plan.chance}")
    if rng.random() < 0.67:
        return plan
    faults = tuple(
        Fault(
            round(rng.uniform(0, TROUBLE - 100), 3),
            rng.choice(kinds),
            round(rng.uniform(1, longest), 3),
            rng.randrange(1000),
            rng.choice(MOMENTS) if rng.random() < 0.5 else None,
        )
        for _ in range(rng.randint(1, 4))
    )
    return replace(plan, faults=(*plan.faults, *faults))


def _with_operators(plan: Plan, most: int) -> Plan:
    """The same plan, in every third world with at most so many changes of servers, by dice of their own."""
    rng = random.Random(f"operators {plan.chance}")
    if rng.random() < 0.67:
        return plan
    if len(plan.paces) < plan.servers:
        plan = replace(plan, servers=max(plan.servers, rng.choice((1, 2, 3))))
    faults = tuple(
        Fault(
            round(rng.uniform(0, TROUBLE - 60), 3),
            rng.choice(OPERATORS),
            round(min(LONGEST_CHANGE, rng.expovariate(1 / 30)), 3),
            rng.randrange(1000),
            rng.choice(MOMENTS) if rng.random() < 0.5 else None,
        )
        for _ in range(rng.randint(1, most))
    )
    return replace(plan, faults=(*plan.faults, *faults))


def _with_edits(plan: Plan) -> Plan:
    """The same plan, in every third world with waiting jobs that people edit, by dice of their own."""
    rng = random.Random(f"edits {plan.chance}")
    if rng.random() < 0.67:
        return plan
    faults: list[Fault] = []
    for _ in range(rng.randint(2, 6)):
        at, upon = round(rng.uniform(0, TROUBLE - 60), 3), rng.choice((None, *EDITED))
        faults.append(Fault(at, "press_edit", 0.0, rng.randrange(1000), upon))
        if rng.random() < 0.3:
            seconds = round(rng.uniform(1, 20), 3)
            faults.append(Fault(at, rng.choice(WITH_EDITS), seconds, rng.randrange(1000), upon))
    return replace(plan, faults=(*plan.faults, *faults))


def _drawn(seed: int) -> Plan:
    rng = random.Random(seed)
    servers = rng.choice((1, 1, 1, 2))
    # In clusters, because what goes wrong between two jobs harms nobody.
    hearts = [rng.uniform(0, TROUBLE * 0.7) for _ in range(rng.randint(1, 3))]

    def moment(spread: float) -> float:
        return round(min(max(rng.choice(hearts) + rng.uniform(-1, 3) * spread, 0), TROUBLE - 20), 3)

    wants = [_want(rng, moment(5.0), servers) for _ in range(rng.randint(2, 10))]
    faults = [
        Fault(round(heart, 3), rng.choice(WEATHERS), round(rng.uniform(20, 80), 3), rng.randrange(1000))
        for heart in hearts
        if rng.random() < 0.4
    ]
    if rng.random() < 0.6:
        storm = _storm(rng, hearts[0], servers)
        wants, faults = wants + storm[0], faults + storm[1]
    kinds = _kinds(rng)
    faults += [
        Fault(
            moment(15.0),
            rng.choice(kinds),
            round(rng.expovariate(0.12), 3),
            rng.randrange(1000),
            rng.choice(MOMENTS) if rng.random() < 0.7 else None,
        )
        for _ in range(rng.randint(1, 16))
    ]
    return Plan(
        seed,
        tuple(wants),
        tuple(faults),
        rng.choice((1, 2, 2, 3)),
        servers,
        rng.random() < 0.4,
        rng.random() < 0.3,
    )


def _storm(rng: random.Random, heart: float, servers: int) -> tuple[list[Want], list[Fault]]:
    """A few jobs in bad weather, and what strikes them in it again and again."""
    storm = rng.choices(STORMS, (3, 2, 1))[0]
    wants = [_want(rng, round(heart + rng.uniform(0, 40), 3), servers) for _ in range(5)]
    wants = [
        replace(want, seconds=round(rng.uniform(PICTURE[0], 12.0), 3), steps=2, ending="well", large=True, cancel=None)
        for want in wants
    ]
    strikes = [
        Fault(
            round(heart + rng.uniform(0, 60), 3),
            rng.choice(storm.strikes),
            0.0,
            rng.randrange(1000),
            rng.choice(storm.upon),
        )
        for _ in range(rng.randint(6, 16))
    ]
    return wants, [Fault(round(heart, 3), storm.weather, 80.0, rng.randrange(1000)), *strikes]


def _want(rng: random.Random, at: float, servers: int) -> Want:
    return Want(
        at,
        round(rng.uniform(0, 40), 3) if rng.random() < 0.25 else None,
        _length(rng, FILM if rng.random() < 0.25 else PICTURE),
        rng.randint(2, 6),
        rng.choices(("well", "breaks", "refused"), (16, 2, 1))[0],
        rng.random() < 0.25,
        rng.random() < 0.3,
        rng.randrange(servers) if rng.random() < 0.25 else None,
        rng.choices(("one", "two", "streamed"), (6, 2, 2))[0],
    )


def _length(rng: random.Random, bounds: tuple[float, float]) -> float:
    """Rather short than long."""
    return round(math.exp(rng.uniform(*map(math.log, bounds))), 3)


def _kinds(rng: random.Random) -> list[Kind]:
    """What may go wrong in one world: anything, or what goes wrong in one place, and something besides."""
    if rng.random() < 0.5:
        return rng.sample(KINDS, rng.randint(1, 7))
    group = rng.choice(GROUPS)
    return [*rng.sample(group, min(len(group), rng.randint(2, 6))), rng.choice(("kill", "restart", rng.choice(KINDS)))]


def plans() -> st.SearchStrategy[Plan]:
    """Plans that hypothesis can make smaller."""
    moments = st.floats(0, TROUBLE).map(lambda number: round(number, 2))
    lengths = st.floats(0, 40).map(lambda number: round(number, 2))
    wants = st.builds(
        Want,
        moments,
        st.none() | lengths,
        st.floats(PICTURE[0], FILM[1]).map(lambda number: round(number, 2)),
        st.integers(1, 6),
        st.sampled_from(get_args(Ending)),
        st.booleans(),
        st.booleans(),
        st.none() | st.integers(0, 1),
        st.sampled_from(get_args(Result)),
        count=st.sampled_from((1, 1, 1, 2, 3)),
    )
    faults = st.builds(
        Fault,
        moments,
        st.sampled_from((*KINDS, *OPERATORS, "press_edit")),
        lengths,
        st.integers(0, 20),
        st.none() | st.sampled_from(MOMENTS),
    )
    return st.builds(
        Plan,
        st.integers(0, 2**16),
        st.lists(wants, min_size=1, max_size=6).map(tuple),
        st.lists(faults, max_size=8).map(tuple),
        st.integers(1, 3),
        st.integers(1, 2),
        st.booleans(),
        st.booleans(),
    )
