"""Atelier: pictures and videos from ComfyUI, for the people of a Discord server.

One promise: a generation that was accepted is never lost and never stuck.

Where things are. Imports point down this list, and `tests/test_dependencies.py` enforces it:

    __main__        entry point
    cli/            commands of the terminal: arguments/, parser, execute; a file or folder for each; output/
    application     opens everything in order, runs a frontend, shuts down in reverse
    backup/         backups of the data folder: made while the bot runs, verified, restored
    comfy/          ComfyUI: HTTP client; websocket/ has the connection and its decoder
    discord/        Discord: gateway/ (hikari), requests/, messages/, files/, ui/
    journal/        jobs on disk: the SQLite store; tables/ (its statements), access/ (how tasks use it), copies/
    webhook         posts alerts
    http/           health and metrics for those who operate the bot
    simulator/      an embedded ComfyUI: engine/, nodes/, http/, media/, art/
    service/        what a request means, free of Discord: offers/, tasks/, jobs/, people/, results/, queue/
    texts/          every sentence that people see: reasons/ renders tagged reasons, discord/ has the others
    retention/      deletes jobs and files once they are old
    media_worker/   decodes and re-encodes what people send
    actors/         tasks with an inbox: connection, registry, effect runner, interaction, operator, alerts
    core/           pure rules: jobs/, servers/, scheduling/, limits/, and the reconciler, which decides what to believe
    workflows/      graphs with named inputs: nodes/, editor_format/, discovery/, manifest/, binding/, offers/
    node_cache      what each server says about its node classes
    ports, events   interfaces that the core needs; everything that crosses a stream
    reasons/        why something failed or was refused, as data: of jobs, servers, files and alerts
    mailbox         the conflating stream
    system/         signals, standard streams, logs, and what systemd is told
    config/         every setting; tables/ reads those of atelier.toml

To understand the whole, read `events`, `application` and one actor.
"""

__version__ = "0.2.0"
"""The version in pyproject.toml; a test holds both equal."""
