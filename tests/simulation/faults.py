"""Everything goes wrong, as the plan says, at its time or with the next moment that it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import anyio

from app.comfy.client import ANSWER_TIMEOUT
from app.core.servers.state import FAILOVER_AFTER
from app.ports import Json
from app.simulator.faults import Request
from app.simulator.version import V0_3_64, V0_33_0
from tests.simulation.board import CHANNEL, DIRECT, Board
from tests.simulation.bot import Bot
from tests.simulation.network import Network
from tests.simulation.offer import picture
from tests.simulation.operators import Operators
from tests.simulation.people import People
from tests.simulation.plan import IN_FLEETS, OPERATORS, ByPeople, Edit, Fault, Kind, Moment, Plan, Unexpected
from tests.simulation.recorder import Recorder

BY_PEOPLE: frozenset[Kind] = frozenset((*get_args(ByPeople), *get_args(Edit)))
UNEXPECTED: frozenset[Kind] = frozenset(get_args(Unexpected))

JUMPS = (-86_400.0, -3_600.0, -5.0, 5.0, 900.0, 3_600.0, 86_400.0)
"""Seconds by which a clock is set: summer time, a clock that was never set, a correction, the life of a token."""

AFTERMATH = ANSWER_TIMEOUT + 5.0
"""Seconds after the end of a fault until nobody waits any more for what it has swallowed."""

TAKEN_OVER = 60.0
"""Seconds within which a front that is there has taken over, and workers have found it."""


class FaultPlayer:
    """Owns the faults that are still to come."""

    def __init__(
        self,
        plan: Plan,
        networks: list[Network],
        board: Board,
        recorder: Recorder,
        people: People,
        operators: Operators,
        say: Callable[[str], None],
    ) -> None:
        self._mortal = plan.mortal
        self._trouble = plan.trouble
        self._faults = sorted(plan.faults, key=lambda fault: fault.at)
        self._armed: list[Fault] = []
        self._networks = networks
        self._board = board
        self._recorder = recorder
        self._people = people
        self._operators = operators
        self._say = say
        self._ends = 0.0

    async def run(self, bot: Bot) -> None:
        """Live through all of it, and end with calm."""
        self._bot = bot
        began = anyio.current_time()
        self._ends = began + self._trouble
        for fault in self._faults:
            await anyio.sleep_until(began + fault.at)
            if fault.kind == "press_edit":
                self._people.prepare(fault)
            if fault.upon is None:
                self._bring_about(fault, None)
            else:
                self._armed.append(fault)
        await anyio.sleep_until(self._ends)
        self._armed.clear()
        self._recorder.armed.clear()
        self._say("calm")
        for network in self._networks:
            network.calm()
        self._board.calm()
        self._operators.calm()
        bot.calm()

    def reached(self, moment: Moment, network: Network | None = None) -> None:
        """A moment has come that a fault may have waited for; on this network, if on any."""
        for fault in [fault for fault in self._armed if fault.upon == moment]:
            self._armed.remove(fault)
            self._bring_about(fault, network)

    def _bring_about(self, fault: Fault, network: Network | None) -> None:
        network = network or self._networks[fault.which % len(self._networks)]
        self._say(f"fault {fault.kind} for {fault.seconds} at {network.name}")
        if fault.kind in BY_PEOPLE:
            self._people.act(fault)
            return
        now = anyio.current_time()
        if fault.kind in OPERATORS:
            self._operators.act(fault, min(fault.seconds, self._ends - now))
            return
        if fault.kind in IN_FLEETS:
            self._recorder.ill.append((now, now + fault.seconds + TAKEN_OVER + AFTERMATH))
            self._bot.suffer(fault, min(now + fault.seconds, self._ends))
            return
        if fault.kind != "discord_hangs":
            self._recorder.ill.append((now, now + fault.seconds + AFTERMATH))
        self._between(fault, network, min(now + fault.seconds, self._ends))

    def _between(self, fault: Fault, network: Network, until: float) -> None:
        count, faults = 1 + fault.which % 3, network.simulator.faults
        match fault.kind:
            case "drop":
                network.cut()
            case "half_open":
                network.half_open()
            case "deaf":
                faults.ask(Request(deaf=True))
            case "stall":
                faults.ask(Request(stall=until - anyio.current_time()))
            case "refuse":
                network.refused_until = until
                network.cut_all()
            case "refuse_sockets":
                network.sockets_refused_until = until
                network.cut()
            case "hang":
                network.hangs_until = until
                network.half_open()
            case "delay":
                network.delayed_until = until
            case "late_answers":
                network.late_until = until
            case "lose_replies":
                network.lost_replies = count
            case "slow_frames":
                network.slow_until = until
            case "duplicate":
                network.doubled_until = until
            case "garbage":
                network.garbled_until = until
            case "wrong_frames":
                network.wrong_until = until
            case "mute":
                network.mute_until = until
                network.cut()
            case "stranger":
                network.strange_until = until
                network.cut()
            case "hang_up":
                network.hang_up_until = until
            case "send_fails":
                network.unsendable_until = until
                network.cut()
            case "malformed":
                network.malformed = count
            case "break_look":
                network.broken_looks = count
            case "die" | "removed" | "long_outage":
                self._take_away(fault)
            case "unread_history":
                if (running := network.simulator.running) is not None:
                    network.unread.add(running[1])
            case "queue_500":
                network.queue_broken_until = until
            case "view_500":
                network.broken_views = count
            case "cut_short":
                network.cut_short_until = until
            case "slow_view":
                network.slow_view_until = until
            case "post_500":
                network.broken_posts = count
            case "post_500_effect":
                network.broken_posts_with_effect = count
            case "restart" | "upgrade":
                if fault.kind == "upgrade":
                    network.simulator.act_as(V0_3_64 if network.simulator.version.modern else V0_33_0)
                network.life += 1
                network.cut_all()
                faults.ask(Request(restart=until - anyio.current_time()))
            case _:
                self._elsewhere(fault, network, until)

    def _take_away(self, fault: Fault) -> None:
        """A server goes away that nobody needs: for good, or for twice as long as jobs wait for it."""
        network = self._networks[fault.which % self._mortal]
        if len(self._networks) == 1 or network.dead:
            return
        network.cut_all()
        if fault.kind == "long_outage":
            network.refused_until = min(anyio.current_time() + 2 * FAILOVER_AFTER, self._ends)
            return
        network.dead = True
        if fault.kind == "removed":
            self._bot.remove(network)

    def _elsewhere(self, fault: Fault, network: Network, until: float) -> None:
        board, bot = self._board, self._bot
        match fault.kind:
            case "forget_pending" | "forget_history" | "forget_prompt":
                self._forget(fault, network)
            case "interrupt":
                if (running := network.simulator.running) is not None:
                    self._recorder.interrupted.add(running[1])
                network.simulator.worker.interrupt(None)
            case "others":
                for number in range(1 + fault.which % 3):
                    submit(network, fault.which + number, 1 + fault.seconds)
            case "kill":
                bot.kill(fault.seconds)
            case "stop":
                bot.stop(fault.seconds)
            case "break_message":
                board.failures = (1, 2, 6)[fault.which % 3]
            case kind if kind in UNEXPECTED:
                self._recorder.armed.append(kind)
            case "disk_full":
                bot.disk_full_until = until
            case "journal_damaged":
                bot.damaged_until, bot.down = until, fault.seconds
            case "sync_fails":
                bot.sync_fails, bot.down = True, fault.seconds
            case "journal_locked":
                bot.locked_until = until
            case "clock_jumps":
                bot.clock_ahead += JUMPS[fault.which % len(JUMPS)]
            case "results_full":
                bot.results_full_until = until
            case "board_away":
                board.away_until = until
            case "board_forgets":
                board.forgetful_until = until
            case "rate_limit":
                board.limited_until = until
            case "expire_tokens":
                for interaction in board.interactions:
                    interaction.expired = True
            case "channel_closed":
                board.closed_until = until
            case "nowhere":
                board.closed_until = board.nowhere_until = until
            case "pictures_refused":
                board.picky_until = until
            case "discord_slow":
                board.answers.slow_until = until
            case "odd_answers":
                board.answers.odd_until = until
            case "discord_hangs":
                self._hang(fault.which, until)
            case "channel_removed":
                board.removed = True
            case "message_deleted":
                if messages := [one for one in board.messages if not one.ended] or board.messages:
                    messages[fault.which % len(messages)].delete()
            case kind:
                raise AssertionError(kind)

    def _hang(self, which: int, until: float) -> None:
        """Nothing about one channel is answered, or about one message whose job goes on."""
        board, answers = self._board, self._board.answers
        answers.hangs_until = until
        channel = DIRECT if board.removed else CHANNEL
        messages = [message.number for message in board.messages if not message.ended and board.is_there(message)]
        if which % 3 == 0 or not messages:
            answers.hangs = lambda where, _: where == channel
            return
        number = messages[which % len(messages)]
        answers.hangs = lambda _, message: message == number

    def _forget(self, fault: Fault, network: Network) -> None:
        simulator, away = network.simulator, self._recorder.taken_away
        pending = [item[1] for item in simulator.pending]
        match fault.kind:
            case "forget_pending":
                away.update(pending)
            case "forget_history":
                away.update(simulator.history)
            case _:
                known = [*pending, *simulator.history]
                if not known:
                    return
                away.add(prompt := known[fault.which % len(known)])
                simulator.faults.ask(Request(forget=prompt))
                return
        simulator.faults.ask(Request(forget=fault.kind.removeprefix("forget_")))


def submit(network: Network, number: int, seconds: float) -> None:
    """Somebody else has work for a server."""
    graph = dict[str, Json](picture("others", 1000 + number, seconds, 1))
    network.simulator.submit({"prompt": graph, "client_id": "somebody else"})
