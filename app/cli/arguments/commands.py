"""What can be written on the command line: one record per command, whose fields are its arguments and options."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from app.cli.arguments.program import COMPLETED, ORDER, PROGRAM, app, command, command_group
from app.cli.arguments.values import (
    PORT,
    Count,
    DiscordId,
    JobPrefix,
    JobState,
    Json,
    Port,
    Seconds,
    ServerLabel,
    TaskName,
    WorkflowName,
    argument,
)


@dataclass(frozen=True, kw_only=True)
class OnServers:
    """A command that uses the servers; `server` replaces those of the configuration."""

    server: Annotated[
        tuple[str, ...], Parameter(metavar="URL", help="Use this ComfyUI, by address or name; repeatable")
    ] = ()


@dataclass(frozen=True)
class Filling(OnServers):
    """A command that fills in a workflow."""

    workflow: Annotated[WorkflowName, argument("WORKFLOW", "A workflow's name, or an exported JSON file")]
    slots: Annotated[tuple[str, ...], Parameter(name="", show=False)] = ()
    _: KW_ONLY
    sets: Annotated[
        tuple[str, ...],
        Parameter(name="--set", metavar="NODE.INPUT=VALUE", help="Set any input; NODE is an id or a title; repeatable"),
    ] = ()
    preset: Annotated[str, Parameter(metavar="NAME", help="Use one of the workflow's presets")] = ""


@command("run", "run", "run --drain       (Ctrl-C once waits for running jobs, twice does not)")
@dataclass(frozen=True, kw_only=True)
class Run:
    """Run the Discord bot (the default command)."""

    drain: Annotated[bool, Parameter(help="When stopped, finish what the servers have first")] = False


@command(
    "front",
    "front --engine valkey://10.0.0.5:6379",
    "front --engine valkeys://atelier@engine.example:6379 --name attic",
    "front --status",
)
@dataclass(frozen=True, kw_only=True)
class RunFront:
    """Run the Discord bot on several machines: one is active, the others follow its journal and take over.

    The engine is Valkey or Redis; ATELIER_ENGINE_PASSWORD is its password. See docs/SCALING.md.
    """

    engine: Annotated[str, Parameter(metavar="URL", help="The engine, instead of the configured one")] = ""
    name: Annotated[str, Parameter(metavar="NAME", help="How this front is called; by default as its machine")] = ""
    status: Annotated[bool, Parameter(help="Only show which front is active, and how far the others are")] = False
    drain: Annotated[bool, Parameter(help="When stopped, finish what the servers have first")] = False
    force: Annotated[
        bool, Parameter(help="Become active with this journal although another front had a newer one; that is lost")
    ] = False


@command("setup", "setup", "setup --server http://127.0.0.1:8188 --dry-run")
@dataclass(frozen=True, kw_only=True)
class Setup(OnServers):
    """Ask for the token and the servers, check them, and write atelier.toml and .env.

    Without a terminal nothing is asked: set DISCORD_TOKEN, and name the servers with --server.
    """

    token: Annotated[
        str, Parameter(metavar="TOKEN", help="The bot's token; DISCORD_TOKEN hides it from others on this machine")
    ] = ""
    dry_run: Annotated[bool, Parameter(help="Only show what would be written")] = False
    overwrite: Annotated[bool, Parameter(help="Change files that exist without asking")] = False


@command("demo", "demo", "demo --page", "demo --out pictures --backend asyncio")
@dataclass(frozen=True, kw_only=True)
class Demo:
    """Make pictures for five people with three simulated servers, of which one is killed."""

    out: Annotated[Path, Parameter(metavar="FOLDER", help="Folder for the pictures")] = Path("out/demo")
    page: Annotated[
        int | None, PORT, Parameter(metavar="[PORT]", help="Then show the pictures in your browser, until Ctrl-C")
    ] = None


@command(
    "generate WORKFLOW [SLOT=VALUE ...]",
    'generate --task imagine prompt="a lighthouse at dusk" --model "Dreamscape v1" --format 16:9',
    'generate txt2img prompt="a lighthouse at dusk" --count 4',
    'generate img2img prompt="in oil" image=photo.jpg denoise=0.5',
    "generate my-export.json --set Sampler.steps=30 --json",
)
@dataclass(frozen=True)
class Generate(Filling):
    """Make pictures with a workflow, without Discord.

    Each SLOT=VALUE fills a slot of the workflow; “workflows show” lists them. With --task instead of a WORKFLOW, the
    workflow is the one for the --model, or the first that a server can run.
    """

    workflow: Annotated[
        WorkflowName, argument("WORKFLOW", "A workflow's name or an exported JSON file; or use --task")
    ] = ""
    _: KW_ONLY
    task: Annotated[TaskName | None, Parameter(help="What to make, with any model that a server has")] = None
    model: Annotated[str, Parameter(metavar="NAME", help="With --task: a workflow or a model, as people read it")] = ""
    format: Annotated[str, Parameter(metavar="W:H", help="With --task: 1:1, 3:4, 4:3, 9:16 or 16:9")] = ""
    count: Annotated[Count, Parameter(help="Number of jobs, each with its own seed")] = 1
    out: Annotated[Path, Parameter(metavar="FOLDER", help="Folder for the files")] = Path("out")
    json: Json = False
    timeout: Annotated[Seconds | None, Parameter(help="Cancel what is unfinished after S seconds")] = None


@command(
    "simulate",
    "simulate --port 8188 --previews",
    "simulate --step-time 0.01 --any-node",
    "simulate --comfyui-version 0.3.64",
)
@dataclass(frozen=True, kw_only=True)
class Simulate:
    """Start an embedded ComfyUI that any client can use."""

    host: Annotated[str, Parameter(metavar="ADDRESS", help="Address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Parameter(help="Port to listen on; 0 chooses a free one")] = 8188
    steps: Annotated[Count | None, Parameter(help="Override the steps of every sampler")] = None
    step_time: Annotated[Seconds, Parameter(help="Seconds per step")] = 0.05
    previews: Annotated[bool, Parameter(help="Send a preview with each step")] = False
    any_node: Annotated[bool, Parameter(help="Also run nodes that the simulator does not know")] = False
    comfyui_version: Annotated[Literal["0.3.64", "0.33.0"], Parameter(help="Answer like this version")] = "0.33.0"
    seed: Annotated[int, Parameter(metavar="K", help="Paint different pictures for the same prompts")] = 0


@command(
    "work",
    "work --engine valkey://bot.example:6379 --name attic",
    "work --engine valkeys://bot.example:6379 --name attic --server http://127.0.0.1:8188",
)
@dataclass(frozen=True, kw_only=True)
class Work(OnServers):
    """Offer ComfyUI servers to a bot on another machine, through an engine that both can reach (Valkey or Redis).

    The name is also the login; ATELIER_ENGINE_PASSWORD is its password. See docs/SCALING.md.
    """

    engine: Annotated[str, Parameter(metavar="URL", help="The engine, instead of the configured one")] = ""
    name: Annotated[str, Parameter(metavar="NAME", help="What people call it; no other worker may have this name")] = ""


workers = command_group("workers", "List workers, give one a login of the engine, and take it away.")

EngineUrl: TypeAlias = Annotated[str, Parameter(metavar="URL", help="The engine, instead of the configured one")]
WorkerName: TypeAlias = Annotated[str, argument("NAME", "A worker's name")]


@command("list", "workers list", "workers list --json", group=workers)
@workers.default
@dataclass(frozen=True, kw_only=True)
class ListWorkers:
    """List the workers: who is there, what each offers, and who has a login but is not there (the default)."""

    engine: EngineUrl = ""
    json: Json = False


@command("add NAME", "workers add attic", group=workers)
@dataclass(frozen=True)
class AddWorker:
    """Give a worker a login of its own at the engine, and print what to run on the machine of its GPU.

    The login may use the keys of this worker and nothing else.
    """

    name: WorkerName
    _: KW_ONLY
    engine: EngineUrl = ""


@command("revoke NAME", "workers revoke attic", group=workers)
@dataclass(frozen=True)
class RevokeWorker:
    """Delete a worker's login and close its connections; its jobs go elsewhere within 15 seconds."""

    name: WorkerName
    _: KW_ONLY
    engine: EngineUrl = ""


jobs = command_group("jobs", "List, show, retry and cancel jobs.")


@command("list", "jobs --state running", "jobs list --limit 10 --json", group=jobs)
@jobs.default
@dataclass(frozen=True, kw_only=True)
class ListJobs:
    """List jobs, newest first (the default)."""

    state: Annotated[JobState | None, Parameter(help="List only jobs in this state")] = None
    limit: Annotated[Count, Parameter(help="List at most N jobs")] = 50
    json: Json = False


@command("stuck", "jobs stuck", "jobs --stuck --json", group=jobs, also="--stuck")
@dataclass(frozen=True, kw_only=True)
class ListStuckJobs:
    """List unfinished jobs that wait for something unusual, and what to do.

    Asks each server whether it answers.
    """

    json: Json = False


@command("show ID", "jobs show 3f2a", group=jobs)
@dataclass(frozen=True)
class ShowJob:
    """Show a job's request and everything that happened to it."""

    job: JobPrefix
    _: KW_ONLY
    json: Json = False


@command("retry ID", "jobs retry 3f2a", group=jobs)
@dataclass(frozen=True)
class RetryJob:
    """Run an ended job again, also while the bot runs."""

    job: JobPrefix


@command("cancel ID", "jobs cancel 3f2a", group=jobs)
@dataclass(frozen=True)
class CancelJob:
    """Cancel a job, also while the bot runs."""

    job: JobPrefix


servers = command_group("servers", "List, drain, resume, start and stop servers.")


@command("list", "servers list", "servers list --json", group=servers)
@servers.default
@dataclass(frozen=True, kw_only=True)
class ListServers:
    """List the servers, and what each is doing (the default).

    Asks each server whether it answers.
    """

    json: Json = False


@command("drain NAME", "servers drain studio", group=servers)
@dataclass(frozen=True)
class DrainServer:
    """Give a server no new jobs, also while the bot runs; what it has runs to its end."""

    server: ServerLabel


@command("resume NAME", "servers resume studio", group=servers)
@dataclass(frozen=True)
class ResumeServer:
    """Give a server jobs again, also while the bot runs."""

    server: ServerLabel


@command("start NAME", "servers start cloud", group=servers)
@dataclass(frozen=True)
class StartServer:
    """Start a server by its start_command, also while no job needs it; the bot must run."""

    server: ServerLabel


@command("stop NAME", "servers stop cloud", group=servers)
@dataclass(frozen=True)
class StopServer:
    """Stop a server by its stop_command as soon as it has no job; the bot must run."""

    server: ServerLabel


workflows = command_group("workflows", "List, show, create, check and fill in workflows.")


@command("list", "workflows list", group=workflows)
@workflows.default
@dataclass(frozen=True, kw_only=True)
class ListWorkflows:
    """List all workflows (the default)."""


@command("show WORKFLOW", "workflows show txt2img", group=workflows)
@dataclass(frozen=True)
class ShowWorkflow(OnServers):
    """Show a workflow's slots."""

    workflow: Annotated[WorkflowName, argument("WORKFLOW", "A workflow's name, or a file")]


@command("new FILE", "workflows new my-export.json", group=workflows)
@dataclass(frozen=True)
class NewWorkflow(OnServers):
    """Create a workflow from a file that ComfyUI exported."""

    file: Annotated[Path, argument("FILE", "The exported JSON file")]


@command("check [WORKFLOW]", "workflows check", "workflows check txt2img --server studio", group=workflows)
@dataclass(frozen=True)
class CheckWorkflows(OnServers):
    """Check whether the servers can run the workflows."""

    workflow: Annotated[WorkflowName, argument("WORKFLOW", "Check only this one: a workflow's name, or a file")] = ""


@command("fill WORKFLOW [SLOT=VALUE ...]", 'workflows fill txt2img prompt="a mill" steps=8', group=workflows)
@dataclass(frozen=True)
class FillWorkflow(Filling):
    """Fill in a workflow and print what would be sent to a server.

    Each SLOT=VALUE fills a slot of the workflow; “workflows show” lists them.
    """


@command("schema", "workflows schema", group=workflows)
@dataclass(frozen=True, kw_only=True)
class PrintSchema:
    """Print the JSON schema of manifests, for text editors."""


@command("check", "check", "check --server https://studio.example/comfy", "check --live 123456789012345678")
@dataclass(frozen=True, kw_only=True)
class Check(OnServers):
    """Check the configuration, the workflows, each server, Discord, the disk and the journal.

    Each problem is one sentence that says what to do. With --live, try the bot's requests in Discord instead.
    """

    live: Annotated[
        DiscordId,
        Parameter(
            metavar="GUILD", help="Check Discord instead: post in this server, and delete it; stop the bot first"
        ),
    ] = 0
    channel: Annotated[
        DiscordId, Parameter(metavar="ID", help="With --live: post in this channel instead of the first possible one")
    ] = 0
    wait: Annotated[Seconds, Parameter(help="With --live: wait S seconds for somebody to use the command")] = 60.0


@command("doctor", "doctor")
@dataclass(frozen=True, kw_only=True)
class Doctor(Check):
    """Another name of check."""


@command("backup", "backup", "backup --to /mnt/disk/backups")
@dataclass(frozen=True, kw_only=True)
class MakeBackup:
    """Back up the journal and the files, also while the bot runs."""

    to: Annotated[
        Path | None, Parameter(metavar="FOLDER", help="Folder for the backup, instead of the configured one")
    ] = None


@command("restore BACKUP", "restore backups/atelier-20261129-040000", "restore BACKUP --to restored")
@dataclass(frozen=True)
class RestoreBackup:
    """Restore a backup into an empty data folder, once the whole backup was verified."""

    backup: Annotated[Path, argument("BACKUP", "The folder of one backup")]
    _: KW_ONLY
    to: Annotated[
        Path | None, Parameter(metavar="FOLDER", help="Restore to this folder, instead of the configured data folder")
    ] = None
    skip_damaged: Annotated[bool, Parameter(help="Leave out files that are damaged; the journal never is")] = False


@command("forget USER_ID", "forget 123456789012345678", "forget 123456789012345678 --yes")
@dataclass(frozen=True)
class ForgetPerson:
    """Remove what is kept about one person, once nothing of them is unfinished; say first what that is."""

    user: Annotated[DiscordId, argument("USER_ID", "The person's id")]
    _: KW_ONLY
    yes: Annotated[bool, Parameter(help="Remove it; without this, only say what would be removed")] = False


@command("stats", "stats", "stats --json")
@dataclass(frozen=True, kw_only=True)
class Stats:
    """Show how long workflows take on each server, and how right expected starts were."""

    json: Json = False


ServersCommand: TypeAlias = ListServers | DrainServer | ResumeServer | StartServer | StopServer
JournalCommand: TypeAlias = (
    ListJobs | ListStuckJobs | ShowJob | RetryJob | CancelJob | ForgetPerson | Stats | ServersCommand
)
BackupCommand: TypeAlias = MakeBackup | RestoreBackup
WorkersCommand: TypeAlias = ListWorkers | AddWorker | RevokeWorker
WorkflowsCommand: TypeAlias = ListWorkflows | ShowWorkflow | NewWorkflow | CheckWorkflows | FillWorkflow | PrintSchema
Command: TypeAlias = (
    Run
    | RunFront
    | Setup
    | Demo
    | Generate
    | Simulate
    | Work
    | JournalCommand
    | BackupCommand
    | WorkersCommand
    | WorkflowsCommand
    | Check
)


@app.command(
    sort_key=next(ORDER), usage=f"{PROGRAM} completion SHELL", help_epilogue=f"Examples:\n  {PROGRAM} completion bash"
)
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], argument("SHELL", "The shell")]) -> None:
    """Print a script with which a shell completes command lines."""
    print(app.generate_completion(prog_name=COMPLETED, shell=shell))
