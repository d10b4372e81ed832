# What one does here every day. `just` lists it.

# --no-config: [tool.uv] holds the constraints of before, which an upgrade contradicts
compile := "uv pip compile pyproject.toml --no-config --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links"

default:
    @{{just_executable()}} --list

# lint, format, types and tests: what has to pass before anything lands
check:
    uv run --dev ruff check
    uv run --dev ruff format --check
    uv run --dev basedpyright
    uv run --dev pytest

# the fast tests of every package, in less than a minute
test *ARGS:
    @# Keep what is compiled, whatever the environment says: to rewrite all assertions takes as long as to run the tests.
    PYTHONDONTWRITEBYTECODE= uv run --dev pytest -m "not slow" {{ARGS}}

# all tests, or those of a path
test-all *ARGS:
    uv run --dev pytest {{ARGS}}

# pictures for five people on three embedded simulators, of which one is killed
demo *ARGS:
    uv run python -m app demo {{ARGS}}

run *ARGS:
    uv run python -m app run {{ARGS}}

# play so many worlds in which everything goes wrong, until one of them breaks a promise
simulate-faults SEEDS="1000" *ARGS:
    uv run --dev python -m tests.simulation --seeds {{SEEDS}} {{ARGS}}

# figures as JSON: all benchmarks or those that are named; --against REV measures another commit in the same run
bench *ARGS:
    uv run --dev python -m bench {{ARGS}}

# make each change of tests/mutants/table.py in a copy, and show that a test notices it
mutants *WORDS:
    uv run --dev python -m tests.mutants {{WORDS}}

# run every fuzzer for so many minutes, until one finds something
fuzz MINUTES:
    uv run --dev python -m tests.fuzz {{MINUTES}}

# compile the constraints anew, after a change of the direct dependencies; then copy constraints.txt to [tool.uv]
pin:
    {{compile}} --group dev --extra engine --extra video --output-file constraints.txt
    {{compile}} --constraints constraints.txt --output-file constraints-runtime.txt

# draw what the bot shows in its key moments, as PNGs in docs/pictures or another folder; needs Chromium and Noto's fonts
pictures *ARGS:
    uv run --dev python -m tests.rendering {{ARGS}}

# take pictures of the web page, as WebPs in docs/pictures/page or another folder; needs the same
page-pictures *ARGS:
    uv run --dev python -m tests.browser {{ARGS}}
