"""The entry point: first what catches signals and closed streams, then everything else."""

import os
import sys

try:
    from app.system import signals, standard_streams
except KeyboardInterrupt:
    os._exit(130)


def main() -> int:
    """Run the command line of this process; return the exit code."""
    signals.install(sys.argv[1:])
    standard_streams.prepare()
    # Only here: it takes half a second, in which a signal may arrive.
    from app.cli.main import start

    return start(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
