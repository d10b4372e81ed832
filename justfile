# What one does here every day. `just` lists it.

default:
    @just --list

# lint, format, types and tests: what has to pass before anything lands
check:
    uv run ruff check
    uv run ruff format --check
    uv run basedpyright
    uv run pytest

test *ARGS:
    uv run pytest {{ARGS}}

# twelve pictures for four people, on the embedded simulator
demo *ARGS:
    uv run python -m app demo {{ARGS}}

run *ARGS:
    uv run python -m app run {{ARGS}}

# play so many worlds in which everything goes wrong, until one of them breaks a promise
simulate-faults SEEDS="1000" *ARGS:
    uv run python -m tests.simulation --seeds {{SEEDS}} {{ARGS}}

# figures as JSON: all benchmarks or those that are named; --against REV measures another commit in the same run
bench *ARGS:
    uv run python -m bench {{ARGS}}

# make each change of tests/mutants/table.py in a copy, and show that a test notices it
mutants *WORDS:
    uv run python -m tests.mutants {{WORDS}}

# run every fuzzer for so many minutes, until one finds something
fuzz MINUTES:
    uv run python -m tests.fuzz {{MINUTES}}

# compile the constraints anew, after a change of the direct dependencies
pin:
    uv pip compile pyproject.toml --group dev --extra video --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file constraints.txt
