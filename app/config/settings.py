"""The settings, validated."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from app.config.engine import EngineSettings
from app.events import ServerName

DEFAULT_URL = "http://127.0.0.1:8188"
"""The address at which ComfyUI listens by default."""

WORKER_SCHEME = "worker"
"""The beginning of the address of a server that a worker offers: worker://NAME/LABEL."""

PREVIEWS = ("latent2rgb", "taesd", "off", "server")
"""What `previews` of a server may be."""

BUTTONS = ("cancel", "delete", "edit", "retry", "again", "fetch", "send", "vary", "use", "settings", "keep")
"""The buttons that `guarded` may name."""


class Power(Struct, frozen=True, kw_only=True):
    """How a server is started when jobs need it, and stopped when none does.

    The commands are a program and its arguments each. The server is stopped after `idle_minutes` without jobs;
    `start_seconds` is how long a start takes until one was measured. Within 24 hours it is on for at most
    `most_hours_per_day`, 0 for no limit. One that somebody else started is stopped only if `stop_if_started_by_hand`.
    """

    start_command: tuple[str, ...]
    stop_command: tuple[str, ...]
    idle_minutes: int = 10
    start_seconds: int = 120
    most_hours_per_day: int = 0
    stop_if_started_by_hand: bool = False


class Server(Struct, frozen=True, kw_only=True):
    """One ComfyUI server.

    `url` is http or https, with a base path if it has one; the websocket's address is derived from it. `headers` are
    sent with every HTTP call and the websocket handshake. `ca_file` is a PEM file to trust. `failover_after` is None if
    the setting for all servers applies. Of the servers that are free, one with a greater `weight` gets a job first.
    `workflows` are the names of those that it may run, None if it may run all. `previews` is the method by which it
    makes previews of our jobs, "off" for none, or "server" for what it was started with. `power` is None if the bot
    does not start and stop it. With `paid_nodes`, it gets the key of the account that pays for services.
    """

    url: str
    name: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""
    verify: bool = True
    failover_after: int | None = None
    weight: float = 1.0
    workflows: tuple[str, ...] | None = None
    previews: str = "latent2rgb"
    power: Power | None = None
    paid_nodes: bool = False

    @property
    def label(self) -> ServerName:
        """Its display name: its name, else host and port, without the password that an address may contain."""
        return ServerName(self.name or urlsplit(self.url).netloc.rpartition("@")[2])


NOTIFY = ("mention", "dm", "never", "off")
"""What `notify` of Discord may be."""


class Discord(Struct, frozen=True, kw_only=True):
    """The settings of the Discord frontend.

    `guilds` are the ids of Discord servers in which the commands appear at once; without any, the commands are global.
    `rest_url` is Discord's address, "" for the real one. `guarded` are the buttons that only owners and moderators may
    press. `keep_metadata` leaves the workflow in posted images. `mark_results` marks them as made by a machine, for
    programs to read; `label_guilds` are the ids of Discord servers in which the messages say it as well. `notify` is
    how people who have chosen nothing are notified of a result that took more than `notify_after` seconds; "off"
    notifies nobody, whatever they chose. With `user_install` people may add the application to their own account, and
    use it where the bot is not; then there are no `guilds`, because only global commands go along.
    `workflow_commands` are the names of the workflows that have a slash command of their own, None for all. `shards` is
    the number of connections to Discord's gateway, 0 for what Discord recommends.
    """

    guilds: tuple[int, ...] = ()
    rest_url: str = ""
    presence: str = "Making pictures"
    guarded: tuple[str, ...] = ("cancel", "delete", "edit")
    keep_metadata: bool = False
    mark_results: bool = True
    label_guilds: tuple[int, ...] = ()
    notify: str = "mention"
    notify_after: int = 30
    user_install: bool = False
    workflow_commands: tuple[str, ...] | None = None
    shards: int = 0


FORMATS = ("1:1", "3:4", "4:3", "9:16", "16:9")
"""What `format` of a preset may be, and that of a command: width to height."""


class DefaultModels(Struct, frozen=True, kw_only=True):
    """The model of each task that is used if nobody chooses one: the name of a workflow or a model; "" is the first."""

    imagine: str = ""
    edit: str = ""
    upscale: str = ""
    animate: str = ""
    film: str = ""
    describe: str = ""
    sound: str = ""
    sculpt: str = ""

    def of(self, task: str) -> str:
        """That of a task, by its name; "" if there is none."""
        return str(getattr(self, task, ""))


class Preset(Struct, frozen=True, kw_only=True):
    """A named set of settings for any model. A model without a slot for one of its values is used without that value.

    `suffix` is added to the prompt and `negative` to the negative prompt, after a comma; `format` is width to height,
    such as 16:9, "" for the model's own; `values` are those of other slots, by name.
    """

    suffix: str = ""
    negative: str = ""
    format: str = ""
    values: dict[str, str | int | float | bool] = {}


class AlertTargets(Struct, frozen=True, kw_only=True):
    """Where the operator reads alerts, besides the log.

    `owner` sends them to the owner of the Discord application, `channel` is the id of a channel in Discord, 0 for none.
    `webhook` is an address to which they are posted, "" for none; whoever has it can post there.
    """

    owner: bool = False
    channel: int = 0
    webhook: str = ""

    def __repr__(self) -> str:
        """Omits the webhook, which is a secret."""
        return f"AlertTargets(owner={self.owner}, channel={self.channel})"


LOG_FORMATS = ("console", "json")
"""What `format` of the log may be."""


class Http(Struct, frozen=True, kw_only=True):
    """Where the bot answers requests about its health: nowhere if `host` is "". Port 0 is any free one.

    `problem` is a sentence if the setting is wrong; the bot then answers nowhere.
    """

    host: str = ""
    port: int = 0
    problem: str = ""


class Page(Struct, frozen=True, kw_only=True):
    """The web page, which is served where health and metrics are.

    `url` is the address by which people open it, with a base path if it has one; "" if it is that of `Http`.
    `client_secret` is that of the Discord application, for logging in with Discord; without it, people log in by links.
    The addresses of people are taken from X-Forwarded-For where one of the `trusted_proxies` says so: addresses or
    networks. `problem` is a sentence if the page cannot be served as it is configured.
    """

    enabled: bool = False
    url: str = ""
    client_secret: str = ""
    trusted_proxies: tuple[str, ...] = ()
    problem: str = ""

    def __repr__(self) -> str:
        """Omits the secret."""
        return f"Page(enabled={self.enabled}, url={self.url!r})"


class Log(Struct, frozen=True, kw_only=True):
    """How the log is written: `format` is one of `LOG_FORMATS`."""

    format: str = "console"


class Retention(Struct, frozen=True, kw_only=True):
    """What is deleted once it is old; 0 keeps everything.

    `jobs` and `files` are days: after the end of a job, and since the last change of a file. `size` is in MB: the
    oldest files are deleted if all together have more.
    """

    jobs: int = 0
    files: int = 0
    size: int = 0


class BackupSettings(Struct, frozen=True, kw_only=True):
    """Where backups are: `folder`, None for the folder `backups` in the data folder and none by itself.

    One is made each day at `hour`, from 0 to 23 where the bot runs, and the newest `keep` are kept.
    """

    folder: Path | None = None
    hour: int = 4
    keep: int = 7


class Allowed(Struct, frozen=True, kw_only=True):
    """How many jobs may be unfinished at once, and how many GPU seconds a rolling day has; 0 is no limit."""

    jobs: int = 0
    seconds: int = 0


class RoleLimits(Allowed, frozen=True, kw_only=True):
    """What each person with a role gets, and how much of the servers' time beside others."""

    weight: float = 1.0


class Limits(Allowed, frozen=True, kw_only=True):
    """How much people may ask for: each person, each with a role, and all together in a channel or a Discord server.

    The keys of `roles`, `channels` and `guilds` are Discord's ids; the order of `roles` is that of the file.
    """

    jobs: int = 100
    roles: dict[str, RoleLimits] = {}
    channels: dict[str, Allowed] = {}
    guilds: dict[str, Allowed] = {}


class Budget(Struct, frozen=True, kw_only=True):
    """How many US dollars the workflows of paid services may cost; 0 is no limit.

    `day` and `month` are for everybody together, within 24 hours and 30 days; `person_day` is for each person.
    """

    day: float = 0.0
    month: float = 0.0
    person_day: float = 0.0


class Worker(Struct, frozen=True, kw_only=True):
    """What a worker offers: its `name`, the names of the `workflows` that it may run, None for all, and the `hours` of
    the day, as minutes since midnight from one to the other, at which it takes jobs; None for always."""

    name: str = ""
    workflows: tuple[str, ...] | None = None
    hours: tuple[int, int] | None = None


class Config(Struct, frozen=True, kw_only=True):
    """All settings, validated. `source` is the file that was read, "" if there was none.

    `failover_after` is how many seconds a server may be away before its jobs move to another one. `largest_result` is
    in MB: a larger file is not downloaded. `workflows` is the operator's folder of workflows, and `included` the one
    that comes with the program, None if they do not want it. `former_data` is the data folder that version 0.2 would
    use with the same settings in the same current folder. `api_key` is that of Comfy's account, which pays for what
    services bill, within the budget of `paid_nodes`. `tasks` are the models that are used if nobody chooses one, by
    task, and `presets` the operator's own, by name. `engine` is None if this is the only process.
    """

    servers: tuple[Server, ...]
    data: Path
    workflows: Path
    included: Path | None = None
    former_data: Path | None = None
    depth: int = 2
    failover_after: int = 60
    largest_result: int = 1024
    discord_token: str = ""
    api_key: str = ""
    discord: Discord = Discord()
    alerts: AlertTargets = AlertTargets()
    tasks: DefaultModels = DefaultModels()
    presets: dict[str, Preset] = {}
    limits: Limits = Limits()
    paid_nodes: Budget = Budget()
    http: Http = Http()
    page: Page = Page()
    log: Log = Log()
    retention: Retention = Retention()
    backup: BackupSettings = BackupSettings()
    engine: EngineSettings | None = None
    worker: Worker = Worker()
    source: str = ""

    @property
    def backups(self) -> Path:
        """The folder of backups."""
        return self.backup.folder or self.data / "backups"

    @property
    def workflow_folders(self) -> tuple[Path, ...]:
        """The folders of workflows: those of the operator come first."""
        included = self.included
        if included is None or included.resolve() == self.workflows.resolve():
            return (self.workflows,)
        return self.workflows, included

    def failover_of(self, server: Server) -> int:
        """Seconds that this server may be away before its jobs move to another one."""
        return self.failover_after if server.failover_after is None else server.failover_after

    @property
    def pays(self) -> bool:
        """Whether workflows may cost money: there is a key, and a budget for everybody together."""
        return bool(self.api_key) and max(self.paid_nodes.day, self.paid_nodes.month) > 0

    def pays_on(self, server: Server) -> bool:
        """Whether workflows that cost money may run on this server."""
        return self.pays and server.paid_nodes

    @property
    def paying_servers(self) -> frozenset[ServerName]:
        """The servers on which workflows that cost money may run."""
        return frozenset(server.label for server in self.servers if self.pays_on(server))

    def __repr__(self) -> str:
        """Omits the token, the key, and the headers, which may contain one."""
        return f"Config(servers={[server.label for server in self.servers]}, source={self.source!r})"
