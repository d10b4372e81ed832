"""The suite's own rules, seen from outside: pytest as a process, on a test file made for the purpose."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SLOW, TESTS, WAITING

ROOT = Path(__file__).parents[1]

SKIPS = """
import pytest

def test_here():
    pass

@pytest.mark.skip(reason="{reason}")
def test_there():
    pass
"""

XFAIL = """
import pytest

@pytest.mark.xfail(reason="known", strict=True)
def test_there():
    raise AssertionError
"""

MODULE = "import pytest; pytest.importorskip('no_such_module')"

HANGING = """
import anyio, pytest
from tests.conftest import virtual

@pytest.fixture(params=["trio", "virtual"])
def anyio_backend(request):
    return virtual("trio") if request.param == "virtual" else request.param

async def test_that_hangs():
    while True:
        await anyio.sleep(1)

async def test_that_is_next():
    await anyio.sleep(0)
"""


def run(folder: Path, content: str, *options: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    """Run pytest, with this suite's configuration and conftest, on one file."""
    (folder / "test_made.py").write_text(content)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CI": ci}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    command += ["-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "0", *options, str(folder)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("content", "ci", "code"),
    [
        (SKIPS.format(reason="no GPU here"), "", 0),
        (SKIPS.format(reason="no GPU here"), "true", 1),
        (SKIPS.format(reason="git is not installed"), "true", 0),
        (XFAIL, "true", 0),
        (MODULE, "", 5),
        (MODULE, "true", 2),
    ],
    ids=["at home", "in CI", "expected in CI", "expected to fail", "a module at home", "a module in CI"],
)
def test_in_ci_a_skip_fails_unless_it_is_expected(tmp_path: Path, content: str, ci: str, code: int) -> None:
    done = run(tmp_path, content, ci=ci)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("EXPECTED_SKIPS" in done.stdout) == (code in {1, 2})


def test_a_test_that_hangs_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    limits = ("--timeout", "4", "-o", "faulthandler_timeout=2")
    done = run(tmp_path, HANGING, *limits, "-n", "1", "--dist", "load")
    assert "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "crashed while running 'test_made.py::test_that_hangs" in done.stdout
    assert "Timeout" in done.stderr, "where it hangs is not said"


def test_every_test_has_a_time_limit(pytestconfig: pytest.Config) -> None:
    assert 60 <= float(pytestconfig.getini("timeout")) <= 300


def fast_tests(session: pytest.Session) -> set[Path]:
    """The files that have a fast test. Collected once more, which takes seconds, unless all tests are to run here."""
    options = session.config.option
    files = {item.path.relative_to(ROOT) for item in session.items}
    if not options.keyword and not options.markexpr and len(files) == len(list(TESTS.rglob("test_*.py"))):
        return {item.path.relative_to(ROOT) for item in session.items if not item.get_closest_marker("slow")}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "--collect-only", "-qq"]
    done = subprocess.run([*command, "-m", "not slow"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {Path(line.partition(":")[0]) for line in done.stdout.splitlines()}


def test_the_fast_tests_cover_every_package(request: pytest.FixtureRequest) -> None:
    folders = {file.parent for file in fast_tests(request.session)}
    packages = [path.parent.relative_to(ROOT / "app") for path in ROOT.glob("app/*/__init__.py")]
    packages += [path.parent.relative_to(ROOT / "app") for path in ROOT.glob("app/discord/*/__init__.py")]
    assert {package for package in packages if Path("tests") / package not in folders} == set()


def test_each_rule_about_slow_tests_names_a_file() -> None:
    files = [path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")]
    assert [pattern for pattern in SLOW if not fnmatch.filter(files, pattern)] == []
    assert {file for group in WAITING for file in group} <= set(files)
