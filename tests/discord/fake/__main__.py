"""The fake as a process: `python -m tests.discord.fake --port N`."""

from __future__ import annotations

import argparse
import asyncio
import signal

from tests.discord.fake.server import TOKEN, FakeDiscord


async def main(port: int, token: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    fake = FakeDiscord(token)
    serving = asyncio.ensure_future(fake.serve(port, lambda: print(f"listening on {fake.url}", flush=True)))
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token", default=TOKEN, help="the bot's token")
    given = parser.parse_args()
    asyncio.run(main(given.port, given.token))
