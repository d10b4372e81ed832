"""The entry point: first what catches signals and closed streams, then everything else."""

import os
import sys

try:
    from app import signals, standard_streams
except KeyboardInterrupt:
    os._exit(130)

if __name__ == "__main__":
    signals.install(sys.argv[1:])
    standard_streams.prepare()
    # Only here: it takes half a second, in which a signal may arrive.
    from app.cli.main import start

    sys.exit(start(sys.argv[1:]))
