"""The entry point: first what catches signals and closed streams, then everything else."""

import os
import sys

try:
    from app.system import garbage, signals, standard_streams
except KeyboardInterrupt:
    os._exit(130)


def main() -> int:
    """Run the command line of this process; return the exit code."""
    signals.install(sys.argv[1:])
    standard_streams.prepare()
    # Otherwise a tenth of the time that the imports take would be spent looking for garbage.
    garbage.collect_rarely()
    # Only here: it takes half a second, in which a signal may arrive.
    from app.cli.main import start

    code = start(sys.argv[1:])
    # At its end Python looks once more through everything that is not left out here.
    garbage.collect_rarely()
    return code


if __name__ == "__main__":
    sys.exit(main())
