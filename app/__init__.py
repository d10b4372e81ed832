"""Atelier: pictures and videos from ComfyUI, for the people of a Discord server.

One promise: a generation that was accepted is never lost and never stuck.

The map, from the top; stairs only go down, and a test holds it:

    __main__                        the entry point: signals and standard streams first
    commands, cli, demo, logs       argv -> Config -> which door -> run
    house                           opens everything in order, closes in reverse; alone knows everybody
    comfy/                          the back door: HTTP, the websocket, what its frames mean
    simulator/                      an embedded ComfyUI, in memory and on a real port
    discord/                        the front door: hikari, commands, living messages, buttons
    terminal/                       the side door: the same house without Discord
    journal/                        the memory: SQLite, or as long as one command takes
    media_worker/                   the process that decodes what people send, and its client
    actors/                         ConnectionActor, PromptRegistry, InteractionActor, SteeringActor
    truth, ledger, dispatch         what to believe, what may happen to a job, who is next: pure
    servers, jobs, progress,        the rules they are made of: pure
    outcome, scheduling, backoff
    workflows/                      a graph and its named inputs
    mailbox, errands, ports         the conflating stream; the registry's errands; what we need of the world
    events, config                  every word that crosses a stream; every setting
    text_file                       files that people write, and in which line a mistake is
    signals, standard_streams       how the process is stopped, and where it writes

To understand the whole, read events, house and one actor.
"""
