"""`python -m app.media_worker [video]`: started by the bot, which talks to it through pipes."""

from __future__ import annotations

import sys

from app.media_worker.worker import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
