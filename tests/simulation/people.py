"""What people do: give commands, press buttons of any message, send forms; and what operators ask for."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from app.discord import custom_id
from app.discord.custom_id import Press
from app.discord.ui.forms import Form
from app.discord.user_request import ButtonPressed, UserRequest
from app.ports import ConnectionLost
from app.service.requests import CreateJob
from app.workflows.binding.batch import COUNT
from tests.simulation.board import Board, Message, presses
from tests.simulation.edit_record import Sent
from tests.simulation.offer import LARGEST_COLOUR, files_of, name_of, values_of
from tests.simulation.plan import MOST_JOBS, MOST_PICTURES, Fault, Want

if TYPE_CHECKING:
    from app.events import ServerName
    from tests.simulation.bot import Bot
    from tests.simulation.recorder import Recorder

UNREADABLE = ({"steps": "many"}, {"seconds": "soon"}, {"": "3"}, {"no-such": "1"}, {"+settings": "steps = 1e99"})
"""What somebody may send as a form: the last is one of an earlier version."""

LOOKS = 5.0
"""Seconds between two looks for a job that waits."""

THINKING = 20.0
"""Seconds that somebody takes for a form, at most."""


class People:
    """Owns what people do to the bot. `say` is for the trace."""

    def __init__(
        self,
        board: Board,
        recorder: Recorder,
        servers: list[ServerName],
        rng: random.Random,
        say: Callable[[str], None],
        *,
        have_batches: bool,
    ) -> None:
        self._board = board
        self._recorder = recorder
        self._servers = servers
        self._rng = rng
        self._say = say
        self._have_batches = have_batches
        """Whether somebody asks for several pictures at once: then edits change their number, too."""
        self._added = 0
        self._edits: list[tuple[Fault, anyio.Event]] = []
        """Forms that are filled in, and when they are sent."""
        self._bot: Bot
        self._tasks: TaskGroup

    def meet(self, bot: Bot, tasks: TaskGroup) -> None:
        """From now on they can act."""
        self._bot, self._tasks = bot, tasks

    async def ask(self, number: int, want: Want) -> None:
        """One person gives a command, and perhaps thinks better of it."""
        person = str(number if want.person is None else want.person)
        await anyio.sleep(want.at)
        await self._bot.opened.wait()
        try:
            caller = await self._board.command(person)
        except ConnectionLost:
            return
        self._say(f"#{number} asks")
        color = self._rng.randint(0, LARGEST_COLOUR)
        workflow = name_of(want, self._servers)
        order = CreateJob(workflow=workflow, values=values_of(want, number, color), files=files_of(want))
        self._bot.tell(UserRequest(caller, order))
        if want.cancel is not None:
            await anyio.sleep(want.cancel)
            message = self._board.messages[int(caller.message)]
            if message.job and self._board.is_there(message):
                self._say(f"#{number} takes it back")
                await self._press(message, Press("cancel", message.job), person)

    def prepare(self, fault: Fault) -> None:
        """Somebody opens the form to edit a job as soon as one waits; the form is sent when the fault strikes."""
        self._edits.append((fault, strikes := anyio.Event()))
        self._tasks.start_soon(self._edit, fault, strikes, name="edit")

    def act(self, fault: Fault) -> None:
        """Somebody presses a button, or an operator asks for something, at this moment."""
        whose, _, verb = fault.kind.partition("_")
        if verb == "edit":
            for strikes in [strikes for prepared, strikes in self._edits if prepared is fault]:
                strikes.set()
            return
        if verb in {"retry", "again", "vary"}:
            if self._added >= MOST_JOBS:
                return
            self._added += 1
        if whose == "operator":
            self._recorder.ask_as_operator(verb, fault.which)
            return
        buttons = [
            (message, press)
            for message in self._board.messages
            if self._board.is_there(message)
            for press in {press: None for card in message.said for press in presses(card) if press.verb == verb}
        ]
        if buttons:
            message, press = buttons[fault.which % len(buttons)]
            person = self._recorder.owner_of(press.job) if fault.which % 5 else "stranger"
            self._say(f"{person} presses {verb} in message {message.number}")
            self._tasks.start_soon(self._press, message, press, person, name="press")

    async def _press(self, message: Message, press: Press, person: str) -> None:
        try:
            if press.verb in {"cancel", "delete"}:
                caller = await self._board.press(message, person)
                if press.verb == "cancel" and person == self._recorder.owner_of(press.job):
                    self._recorder.asked_back.setdefault(press.job, anyio.current_time())
                if press.verb == "delete":
                    self._recorder.deleted.add(press.job)
                self._bot.tell(UserRequest(caller, ButtonPressed(press=press)))
                return
            fields: dict[str, str] | None = None
            if press.verb == "vary":
                form = await self._bot.form(press, await self._board.press(message, person))
                if not isinstance(form, Form):
                    return
                await anyio.sleep(self._rng.uniform(1, THINKING))
                fields, _ = self._filled(form)
                press = custom_id.read(form.custom_id) or press
            caller = await self._board.command(person)
            self._bot.tell(UserRequest(caller, ButtonPressed(press=press, fields=fields)))
        except ConnectionLost:
            return

    async def _edit(self, fault: Fault, strikes: anyio.Event) -> None:
        """Edit a waiting job, and perhaps cancel it in the same instant."""
        while not (buttons := list(self._waiting())):  # noqa: ASYNC110  people look now and then
            await anyio.sleep(LOOKS)
        message, press = buttons[fault.which % len(buttons)]
        person = self._recorder.owner_of(press.job)
        try:
            form = await self._bot.form(press, await self._board.press(message, person))
            if not isinstance(form, Form):
                return
            await anyio.sleep(self._rng.uniform(1, THINKING))
            caller = await self._board.press(message, person)
            press = custom_id.read(form.custom_id) or press
            fields, color = self._edited(form)
            requests = [UserRequest(caller, ButtonPressed(press=press, fields=fields))]
            cancels = fault.which % 4 == 0
            if cancels:
                back = ButtonPressed(press=Press("cancel", press.job))
                requests.insert(fault.which % 2, UserRequest(await self._board.press(message, person), back))
        except ConnectionLost:
            return
        await strikes.wait()
        self._say(f"{person} edits {press.job[:8]} in message {message.number}{' and cancels it' * cancels}")
        if cancels:
            self._recorder.asked_back.setdefault(press.job, anyio.current_time())
        self._recorder.edits.sent.append(Sent(press.job, caller.token, color))
        for request in requests:
            self._bot.tell(request)

    def _waiting(self) -> Iterator[tuple[Message, Press]]:
        """The messages that have a button to edit their job now, and the button."""
        for message in self._board.messages:
            if message.said and not message.page and self._board.is_there(message):
                yield from ((message, press) for press in presses(message.said[-1]) if press.verb == "edit")

    def _edited(self, form: Form) -> tuple[dict[str, str], int]:
        """The form with other values: another seed, which is returned as well, another text, fewer steps, and perhaps
        another number of pictures.

        At times, something in it is unreadable.
        """
        fields, color = self._filled(form)
        fields["steps"] = str(self._rng.randint(1, 2))
        if self._have_batches and self._rng.random() < 0.5:
            fields[COUNT] = str(self._rng.randint(1, MOST_PICTURES))
        fields["prompt"] = f"{fields['prompt'].partition(' edit')[0]} edit {self._rng.randrange(1000)}"
        return fields, color

    def _filled(self, form: Form) -> tuple[dict[str, str], int]:
        """The form with another seed, and now and then with something that nobody can read; and the seed."""
        fields = {field.name: field.value for field in form.fields}
        if self._rng.random() < 0.2:
            fields |= self._rng.choice(UNREADABLE)
        color = self._rng.randint(0, LARGEST_COLOUR)
        return {**fields, "seed": str(color)}, color
