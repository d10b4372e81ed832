"""The real bot plays key moments on a fake Discord; each is what it sent, not a copy written by hand."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio

from app.config.settings import Limits
from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import VIEW_CHANNEL, Person
from tests.discord.flows import FOLDER
from tests.discord.stage import Stage, modal, parts, words
from tests.rendering.page import Scene

FOXES = "four foxes in the snow, golden hour, film grain"
LIGHTHOUSE = "a lighthouse at dusk, storm clouds, long exposure"

NAMES = (
    "waiting",
    "running",
    "batch",
    "finished-one",
    "finished-four",
    "finished-nine",
    "notification",
    "preferences",
    "edited",
    "varied",
    "zoomed",
    "choice",
    "failed",
    "cancelled",
    "refused",
    "server-away",
    "details",
    "more",
    "command",
    "form",
    "form-picture",
    "settings",
    "form-details",
    "help",
    "models",
    "jobs",
    "queue",
    "hint",
    "welcome",
)
"""All moments."""

STEPS = 24
"""Steps of one picture."""

SLOW = 0.4
"""Seconds of a slow step: it takes so many that a message is edited, every 1.1 s, before they are over."""

FASTER = 12
"""How many times as fast as a real server the simulated one is."""

THUMBNAILS = 7
"""Pictures on the page of /jobs: one job waits, all others are done."""

JOBS = 4
"""Jobs that one person may have at once."""


class Moments:
    """Plays on a stage, and keeps what was shown."""

    def __init__(self, stage: Stage, size: Mapping[str, int]) -> None:
        self.scenes: dict[str, Scene] = {}
        self._size = size
        self._stage = stage
        self._mira = stage.discord.alice
        self._people = {self._mira.id: "mira"}

    async def play(self) -> dict[str, Scene]:
        """Play them all."""
        stage = self._stage
        manifest = stage.workflows / "txt2img" / "manifest.toml"
        manifest.write_text(manifest.read_text().replace("maximum = 8\ndefault = 1", "maximum = 9\ndefault = 1"))
        shutil.copytree(FOLDER / "upscale", stage.workflows / "upscale")
        async with stage.bot(limits=Limits(jobs=JOBS), notify_after=0):
            await self._play_finished()
            await self._play_running()
            await self._play_lists()
            await self._play_waiting()
            await self._play_failed()
            await self._play_away()
        return self.scenes

    async def _play_finished(self) -> None:
        stage = self._stage
        asked = self._imagine(LIGHTHOUSE, width=self._size.get("width", 768), height=self._size.get("height", 512))
        one = await stage.result(asked)
        self._keep("finished-one", one, "/imagine")
        await stage.ephemeral_followup(asked)
        self._keep("hint", self._message(asked.followups[0]), "/imagine")
        opened = await stage.answered(stage.press(one, "Edit prompt"))
        self._keep("form", opened.data, "Edit prompt")
        opened = await stage.answered(stage.press(one, "Image to image"))
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "the same harbour as an ink drawing"})
        edited = await stage.result(sent)
        self._keep("edited", edited, "Image to image")
        await stage.result(stage.press(edited, "Upscale"))
        details = await self._told(edited, "Details")
        await self._told(details, "Copy as command", "command")
        opened = await stage.answered(stage.press(edited, "Edit prompt"))
        self._keep("form-picture", opened.data, "Edit prompt")
        beyond = stage.press(edited, "More…")
        await stage.ephemeral_followup(beyond)
        settings = await self._told(stage.discord.message(beyond), "Settings…", "settings")
        opened = await stage.answered(stage.press(settings, "Details…"))
        self._keep("form-details", opened.data, "Details…")
        varied = await stage.result(stage.press(one, "Vary subtle"))
        self._keep("varied", varied, "Vary subtle")
        more = await self._told(one, "More…", "more")
        self._keep("zoomed", await stage.result(stage.press(more, "Zoom out")), "Zoom out")
        await self._chosen(varied, 3)
        four = self._imagine(FOXES, count=4)
        self._keep("finished-four", await stage.result(four), "/imagine")
        await self._notified(four)
        self._keep("preferences", await stage.until("[Mention me]", stage.discord.slash("settings")), "/settings")
        nine = self._imagine("paper boats on a mountain lake, morning fog", count=9, width=256, height=256)
        self._keep("finished-nine", await stage.result(nine), "/imagine")

    async def _play_running(self) -> None:
        stage = self._stage
        async with self._slow_after(STEPS // 2):
            asked = self._imagine("a greenhouse full of ferns, soft light")
            self._keep("running", await self._shown(asked, "step ", files=1), "/imagine")
        await stage.result(asked)
        async with self._slow_after(STEPS * 5 // 2):
            asked = self._imagine("four hot-air balloons over red canyons", count=4)
            self._keep("batch", await self._shown(asked, "2 of 4 ready", files=3), "/imagine")
        await stage.result(asked)

    async def _play_lists(self) -> None:
        stage, discord = self._stage, self._stage.discord
        for command, heading in (("help", "Make something"), ("models", "Checkpoint")):
            self._keep(command, await stage.until(heading, discord.slash(command)), f"/{command}")
        noah, lena = discord.person("noah"), discord.person("lena")
        self._people |= {noah.id: "noah", lena.id: "lena"}
        secret = discord.open_channel("secret")
        secret.overwrites = [{"id": noah.id, "type": 1, "allow": str(VIEW_CHANNEL), "deny": "0"}]
        secret.overwrites.append({"id": discord.guild.id, "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)})
        discord.guild.owner = lena.id
        prompts = {
            "an old observatory above a sea of clouds, first light": (lena, None, 1),
            "a surprise": (noah, secret, 1),
            "isometric library inside a tree, warm lamps": (noah, None, 4),
            "a paper crane in the rain, macro photograph": (self._mira, None, 1),
            "un renard qui lit le journal @everyone **gras** https://example.com": (lena, None, 1),
        }
        asked: list[Interaction] = []
        async with self._slow_after(STEPS // 2):
            for prompt, (person, channel, count) in prompts.items():
                values = {"prompt": prompt, "count": count, "width": 64, "height": 64}
                asked.append(discord.slash("txt2img", values, user=person, channel=channel))
                await stage.until("step " if len(asked) == 1 else "[Cancel]", asked[-1])
            queue = discord.slash("queue")
            await stage.ephemeral_followup(queue)
            self._keep("queue", discord.message(queue), "/queue")
            self._keep("jobs", await self._jobs(), "/jobs")
        for each in asked:
            await stage.result(each)
        garden = discord.add_bot("Pixel Garden", self._mira)
        direct = await discord.until(lambda: [one for one in discord.messages if garden.name in words(one)])
        self._keep("welcome", direct[0], "")

    async def _jobs(self) -> Payload:
        """The first page of /jobs, with all thumbnails: they are made when they are first asked for."""
        while True:
            asked = self._stage.discord.slash("jobs")
            await self._stage.ephemeral_followup(asked)
            page = self._stage.discord.message(asked)
            if len(page["attachments"]) >= THUMBNAILS:
                return page

    async def _play_waiting(self) -> None:
        stage = self._stage
        stage.hold()
        for number in range(2):
            await stage.until("[Cancel]", self._imagine(f"before {number}", width=64, height=64))
        waiting = self._imagine("a fox reading the newspaper, woodcut", width=64, height=64)
        self._keep("waiting", await stage.until("[Edit]", waiting), "/imagine")
        last = self._imagine("an otter in a raincoat", width=64, height=64)
        await stage.until("[Edit]", last)
        refused = self._imagine("a heron made of folded paper, studio light", width=64, height=64)
        await stage.ephemeral_followup(await stage.answered(refused))
        self._keep("refused", self._message(refused.followups[0]), "/imagine")
        stage.press(stage.discord.message(last), "Cancel")
        self._keep("cancelled", await stage.until("Cancelled", last), "/imagine")
        stage.go_on()
        await stage.result(waiting)

    async def _play_failed(self) -> None:
        stage = self._stage
        stage.fault(fail_prompt={"count": 1, "status": 400})
        asked = self._imagine("a whale above the city, oil on canvas")
        self._keep("failed", await stage.until("[Retry]", asked), "/imagine")

    async def _play_away(self) -> None:
        stage = self._stage
        stage.fault(refuse_all=3600)
        asked = self._imagine("a train in the desert, wide angle")
        self._keep("server-away", await stage.until("offline", asked), "/imagine")
        stage.fault(refuse_all=0)
        await stage.result(asked)

    async def _told(self, message: Payload, label: str, name: str = "") -> Payload:
        """Press a button, and keep what only the person who pressed it sees."""
        pressed = self._stage.press(message, label)
        await self._stage.ephemeral_followup(pressed)
        told = self._stage.discord.message(pressed)
        self._keep(name or label.lower(), told, label)
        return told

    async def _notified(self, asked: Interaction) -> None:
        """Keep the notification of a result; above a reply, Discord shows what it replies to."""
        discord = self._stage.discord

        def notice() -> Payload | None:
            replies = (one for one in discord.state.messages.all.values() if "message_reference" in one)
            return next((one for one in replies if one["message_reference"]["message_id"] == asked.original), None)

        message = await discord.until(notice)
        assert message is not None
        self.scenes["notification"] = Scene(
            message, "Click to see attachment", discord.file, people=self._people, person="Atelier"
        )

    async def _chosen(self, message: Payload, number: int) -> None:
        """Choose one of several pictures in More…, and keep what can be done to it."""
        pressed = self._stage.press(message, "More…")
        await self._stage.ephemeral_followup(pressed)
        more = self._stage.discord.message(pressed)
        (select,) = [part for part in parts(more) if part["type"] == 3]
        chosen = self._stage.discord.click(more, str(select["custom_id"]), values=[str(number)])
        await self._stage.ephemeral_followup(chosen)
        self._keep("choice", self._stage.discord.message(chosen), "More…")

    def _imagine(self, prompt: str, user: Person | None = None, **more: object) -> Interaction:
        return self._stage.discord.slash("txt2img", {"prompt": prompt, **self._size, **more}, user=user)

    def _message(self, ident: str) -> Payload:
        return self._stage.discord.state.messages.all[ident]

    async def _shown(self, asked: Interaction, said: str, files: int) -> Payload:
        """Wait until the message has said this, and had so many files; it may have changed since."""
        discord = self._stage.discord

        def seen() -> Payload | None:
            revisions = [revision.state for revision in discord.state.messages.history.get(asked.original or "", ())]
            shown = (state for state in revisions if said in words(state) and len(state["attachments"]) >= files)
            return next(shown, None)

        message = await discord.until(seen)
        assert message is not None
        return message

    @asynccontextmanager
    async def _slow_after(self, steps: int) -> AsyncGenerator[None]:
        """Let ComfyUI make so many nodes and steps fast, and each further one within the block slowly."""
        faults = self._stage.simulator.faults
        held = faults.held
        left = steps

        async def count_down() -> None:
            nonlocal left
            left -= 1
            with anyio.move_on_after(0 if left > 0 else SLOW):
                await over.wait()
            await held()

        over = anyio.Event()
        faults.held = count_down
        try:
            yield
        finally:
            faults.held = held
            over.set()

    def _keep(self, name: str, payload: Payload, did: str) -> None:
        """Keep what is shown now."""
        discord = self._stage.discord
        if did:
            did = f"used </{did.removeprefix('/')}:1>" if did.startswith("/") else f"pressed **{did}**"
        self.scenes[name] = Scene(
            payload, did, discord.file, people=self._people, now=discord.state.clock.now(), person="mira"
        )


def simulated_milliseconds() -> int:
    """The clock of the simulated server, which draws much faster than a real one."""
    return int(time.monotonic() * 1000 * FASTER)


OPTIONS: dict[str, object] = {"previews": True, "clock": simulated_milliseconds}
"""The options of the simulator for the stage of `play`."""


async def play(stage: Stage, **size: int) -> dict[str, Scene]:
    """Play all moments: what was shown, by the names of `NAMES`. `size` is the pictures' width and height, if given."""
    return await Moments(stage, size).play()
