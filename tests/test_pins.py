"""What is installed is what was tested, and running the bot installs no development tools."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from itertools import chain, product
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPILED = (ROOT / "constraints.txt").read_text().split("\n")[:-1]
RUNTIME = (ROOT / "constraints-runtime.txt").read_text().split("\n")[:-1]

SYSTEMS = {
    "Linux": {"platform_system": "Linux", "sys_platform": "linux", "os_name": "posix"},
    "macOS": {"platform_system": "Darwin", "sys_platform": "darwin", "os_name": "posix"},
    "Windows": {"platform_system": "Windows", "sys_platform": "win32", "os_name": "nt"},
}
ENVIRONMENTS = list(product(SYSTEMS, ("3.11", "3.12", "3.13", "3.14")))


def applies(requirement: Requirement, environment: tuple[str, str], extra: str = "") -> bool:
    system, python = environment
    values = {**SYSTEMS[system], "python_version": python, "python_full_version": f"{python}.0", "extra": extra}
    return requirement.marker is None or requirement.marker.evaluate(values)


def pins(lines: list[str], environment: tuple[str, str]) -> dict[str, str]:
    """The versions by name that these lines set there."""
    requirements = [Requirement(line) for line in lines]
    return {pin.name: str(pin.specifier) for pin in requirements if applies(pin, environment)}


def closure(direct: list[str], environment: tuple[str, str]) -> set[str]:
    """The names of all packages that these requirements install there, as the installed packages declare it.

    A package that is not installed here, because only another system needs it, is taken to require nothing.
    """
    waiting = [Requirement(line) for line in direct]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for key in {(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)} - seen:
            seen.add(key)
            try:
                declared = [Requirement(line) for line in requires(requirement.name) or ()]
            except PackageNotFoundError:
                continue
            waiting += [needed for needed in declared if applies(needed, environment, key[1])]
    return {name for name, _ in seen}


def test_uv_is_told_the_compiled_constraints() -> None:
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == COMPILED


def test_uv_installs_development_tools_only_when_asked() -> None:
    assert PROJECT["tool"]["uv"]["default-groups"] == []


def test_direct_dependencies_are_pinned_exactly_and_as_compiled() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    direct = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"], *chain.from_iterable(extras)]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in direct)
    assert set(direct) <= {line.partition(" ;")[0] for line in COMPILED}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=" ".join)
def test_the_bot_runs_with_the_versions_that_the_tests_use(environment: tuple[str, str]) -> None:
    assert pins(RUNTIME, environment).items() <= pins(COMPILED, environment).items()


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=" ".join)
def test_the_runtime_file_has_exactly_what_the_bot_needs(environment: tuple[str, str]) -> None:
    assert pins(RUNTIME, environment).keys() == closure(PROJECT["project"]["dependencies"], environment)


def test_each_line_of_the_runtime_file_is_needed_somewhere() -> None:
    needed = set[str]().union(*(pins(RUNTIME, environment) for environment in ENVIRONMENTS))
    assert needed == {Requirement(line).name for line in RUNTIME}


def test_no_address_of_a_registry_is_committed() -> None:
    for name in ("pyproject.toml", "constraints.txt", "constraints-runtime.txt"):
        assert "://" not in (ROOT / name).read_text()
