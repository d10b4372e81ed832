"""The whole way from a person's click to ComfyUI and back: an unmodified hikari, the real house, a simulator."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import msgspec
from anyio import to_thread
from PIL import Image

from app.actors.alerts import Alerts
from app.actors.registry import new_prompt_id
from app.actors.reload import settings_of
from app.application import ServerClients, Services, comfies, open_alerts, open_services
from app.comfy.client import open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import AlertTargets, Budget, Config, DefaultModels, Discord, Limits, Page, Preset, Server
from app.core.jobs.job import Job
from app.core.shards import SharedShards
from app.discord.app import DiscordApp
from app.events import JobId, ServerName
from app.journal.opening import JOURNAL
from app.journal.sqlite import SqliteJournal, open_journal
from app.ports import OpenRequestStore, OtherDisks
from app.service.page_access import PageAccess
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from app.simulator.http.application import application
from tests.discord.fake import FakeDiscord, Interaction, Payload, Upload
from tests.discord.fake.components import CHECKBOX, FILE_UPLOAD
from tests.discord.fake.options import filled_in
from tests.discord.fake.wire import walk
from tests.discord.flows import FOLDER, STARTERS
from tests.world import HERE

ENOUGH = 60.0
"""Seconds for anything that a test waits for: far more than it takes, also on a machine that does ten other things."""


class Life:
    """One life of the bot: from its start to its end."""

    def __init__(
        self, services: Services, journal: SqliteJournal, alerts: Alerts, app: DiscordApp, config: Config
    ) -> None:
        self.house = services
        self.app = app
        self.config = config
        self.journal = journal
        self.alerts = alerts


class Stage:
    """Owns what outlives the bot: Discord, ComfyUI, and the data folder."""

    def __init__(self, discord: FakeDiscord, simulator: Simulator, folder: Path) -> None:
        self.discord = discord
        self.simulator = simulator
        self.data = folder / "data"
        self.workflows = folder / "workflows"
        self.servers = {HERE: simulator}
        """Every ComfyUI that the bot is told of when it starts."""
        for name in STARTERS:
            shutil.copytree(FOLDER / name, self.workflows / name)

    @asynccontextmanager
    async def bot(
        self,
        alerts_to: AlertTargets | None = None,
        limits: Limits | None = None,
        budget: Budget | None = None,
        tasks: DefaultModels | None = None,
        presets: dict[str, Preset] | None = None,
        page: PageAccess | None = None,
        page_settings: Page | None = None,
        others: OtherDisks | None = None,
        active_for: Callable[[], float] | None = None,
        open_requests: OpenRequestStore | None = None,
        shared: SharedShards | None = None,
        **settings: object,
    ) -> AsyncGenerator[Life]:
        """A life of the bot; at the end of the block it is asked to leave. With a `budget` it has a key, too."""
        door = Discord(rest_url=self.discord.rest_url, **settings)  # pyright: ignore[reportArgumentType]
        config = Config(
            servers=tuple(
                Server(url=f"http://{name}", name=name, paid_nodes=budget is not None) for name in self.servers
            ),
            data=self.data,
            workflows=self.workflows,
            discord_token=self.discord.token,
            discord=door,
            alerts=alerts_to or AlertTargets(),
            limits=limits or Limits(),
            tasks=tasks or DefaultModels(),
            presets=presets or {},
            page=page_settings or Page(),
            api_key="secret" if budget is not None else "",
            paid_nodes=budget or Budget(),
        )
        client_id = new_prompt_id()
        async with AsyncExitStack() as stack:
            alerts = await stack.enter_async_context(open_alerts(config.alerts))
            journal = await stack.enter_async_context(open_journal(config.data / JOURNAL, durable=False, alerts=alerts))
            links: dict[ServerName, ServerClients] = {}
            for server in config.servers:
                simulator = self.servers[server.label]
                transport = httpx.ASGITransport(application(simulator))
                ways = open_comfy_client(server, client_id, run_sync=to_thread.run_sync, transport=transport)
                comfy = await stack.enter_async_context(ways)
                links[server.label] = ServerClients(comfy, partial(connect, partial(simulator.connect, client_id)))
            async with (
                open_services(
                    links,
                    journal,
                    depth=2,
                    alerts=alerts,
                    settings={server.label: settings_of(config, server) for server in config.servers},
                    others=others,
                ) as services,
                anyio.create_task_group() as guests,
            ):
                frontend = DiscordApp(
                    config,
                    journal,
                    alerts,
                    page,
                    active_for=active_for,
                    others=others,
                    open_requests=open_requests,
                    shards=shared,
                )
                servers = comfies(links)
                with anyio.fail_after(ENOUGH):
                    await guests.start(
                        frontend.run,
                        services.registry,
                        servers,
                        services.nodes,
                        services.draining,
                        services.shutdown,
                    )
                try:
                    yield Life(services, journal, alerts, frontend, config)
                finally:
                    services.shutdown.set()

    @asynccontextmanager
    async def another_server(self, name: str, **options: object) -> AsyncGenerator[Simulator]:
        """One more ComfyUI, for bots that start inside the block; `options` are the simulator's."""
        told: dict[str, object] = {"step_time": 0.005, **options}
        simulator = Simulator(self.data.parent / name, **told)  # pyright: ignore[reportArgumentType]
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            self.servers[ServerName(name)] = simulator
            yield simulator
            del self.servers[ServerName(name)]
            ground.cancel_scope.cancel()

    async def until(self, said: str, interaction: Interaction) -> Payload:
        """Wait until the answer to an interaction says this, and return it as it is then."""

        def says() -> Payload | None:
            message = self.discord.state.messages.all.get(interaction.original or "")
            return message if message is not None and said in words(message) else None

        message = await self.discord.until(says, ENOUGH)
        assert message is not None
        return message

    async def result(self, interaction: Interaction) -> Payload:
        """Wait for the finished message."""
        return await self.until("[Again]", interaction)

    async def answered(self, interaction: Interaction) -> Interaction:
        """Wait until it is acknowledged."""
        await self.discord.until(lambda: interaction.response is not None, ENOUGH)
        return interaction

    async def ephemeral_followup(self, interaction: Interaction) -> str:
        """Wait for a sentence that only the one who interacted sees, and return it."""

        def seen() -> str:
            for ident in [interaction.original or "", *interaction.followups]:
                message = self.discord.state.messages.all.get(ident)
                if message is not None and message["flags"] & EPHEMERAL and words(message):
                    return words(message)
            return ""

        return await self.discord.until(seen, ENOUGH)

    def fault(self, **what: object) -> None:
        """Have something go wrong with ComfyUI."""
        self.simulator.faults.ask(msgspec.convert(what, Request))

    def hold(self) -> None:
        """Stop ComfyUI where it is."""
        self.fault(hold=True)

    def go_on(self) -> None:
        """Let it work again."""
        self.fault(hold=False)

    async def details(self, message: Payload) -> str:
        """What the details of a result say."""
        return await self.ephemeral_followup(self.press(message, "Details"))

    async def delete(self, message: Payload, **more: object) -> Interaction:
        """Press Delete, which is behind More…"""
        opened = self.press(message, "More…", **more)
        await self.ephemeral_followup(opened)
        return self.press(self.discord.message(opened), "Delete", **more)

    def press(self, message: Payload, label: str, **more: object) -> Interaction:
        """Press the button with this label."""
        return self.discord.click(message, button(message, label), **more)  # pyright: ignore[reportArgumentType]


EPHEMERAL = 64


def parts(message: Payload) -> Iterator[Payload]:
    """Every component, nested ones included."""
    for _, component in walk(message["components"]):
        yield component


def words(message: Payload) -> str:
    """All that can be read in a message: its texts, and its buttons in brackets."""
    found: list[str] = []
    for part in parts(message):
        found += [str(part["content"])] if part.get("content") else []
        found += [f"[{part['label']}]"] if part.get("label") else []
    return "\n".join(found)


def button(message: Payload, label: str) -> str:
    """The custom id of the button with this label."""
    return next(str(part["custom_id"]) for part in parts(message) if part.get("label") == label)


def files(message: Payload) -> list[str]:
    """The names of all files in a message."""
    return [str(item["filename"]) for item in message["attachments"]]


def modal(interaction: Interaction) -> dict[str, str]:
    """What the texts and the choices of a modal are filled in with."""
    fields: dict[str, str] = {}
    for field in modal_fields(interaction):
        if field["type"] not in {FILE_UPLOAD, CHECKBOX}:
            value = filled_in(field)
            fields[field["custom_id"]] = (
                value if isinstance(value, str) else "".join(value if isinstance(value, list) else [])
            )
    return fields


def modal_fields(interaction: Interaction) -> list[Payload]:
    """The fields of a modal, without their labels."""
    return [field for _, field in walk(interaction.data["components"]) if "custom_id" in field]


def submit_texts(
    stage: Stage, opened: Interaction, fields: Mapping[str, str], *, rows: bool = False, **more: object
) -> Interaction:
    """Send these texts as an open form, whatever it asks for; in `rows`, as forms had them before there were labels."""
    parts: list[Payload] = []
    for number, (name, value) in enumerate(fields.items(), 1):
        text: Payload = {"type": 4, "id": 100 * number, "custom_id": name, "value": value}
        inside: Payload = {"type": 1, "components": [text]} if rows else {"type": 18, "component": text}
        parts.append({"id": number, **inside})
    data: Payload = {"custom_id": opened.data["custom_id"], "components": parts}
    message = stage.discord.state.messages.all.get(opened.source or "")
    return stage.discord.forge(5, data, message=message, **more)  # pyright: ignore[reportArgumentType]


def photo(size: tuple[int, int] = (96, 64)) -> Upload:
    """A picture that somebody has on their disk."""
    kept = io.BytesIO()
    Image.new("RGB", size, "teal").save(kept, "PNG")
    return Upload("photo.png", kept.getvalue(), "image/png")


def job_of(message: Payload) -> JobId:
    """The job that a message is about, out of any of its buttons."""
    custom_id = next(str(part["custom_id"]) for part in parts(message) if part.get("custom_id"))
    return JobId(custom_id.partition(":")[2])


async def ended(life: Life, job: JobId) -> Job:
    """The job as the journal has it, once that says that its person has had the last word."""
    with anyio.fail_after(ENOUGH):
        while (found := await life.journal.find(job)) is None or not found.notified:
            await anyio.lowlevel.checkpoint()
    return found


@asynccontextmanager
async def stage_for(discord: FakeDiscord, folder: Path, **options: object) -> AsyncGenerator[Stage]:
    """Build a stage. `options` are the simulator's; by default it draws twenty-four steps in an eighth of a second."""
    told: dict[str, object] = {"step_time": 0.005, **options}
    simulator = Simulator(folder / "server", **told)  # pyright: ignore[reportArgumentType]
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        yield Stage(discord, simulator, folder)
        ground.cancel_scope.cancel()
