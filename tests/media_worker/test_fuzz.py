"""Damaged files through the whole of intake; `python -m tests.media_worker.fuzz --minutes N` runs for longer."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.media_worker.mark import marked
from app.media_worker.normalise import normalise
from app.media_worker.protocol import Kind
from app.media_worker.thumbnail import make_thumbnail
from tests.media_worker import fuzz
from tests.media_worker.fuzz import CORPUS, KINDS, Finding, Take, check, check_mark, corpus, mutate
from tests.media_worker.processes import outcome, running
from tests.media_worker.samples import encoded, noise

FILES = corpus()

NAMES = sorted(FILES)

EXAMPLES = 400

THROUGH_PROCESSES = 60


def test_the_corpus_has_every_kind_of_file() -> None:
    assert {Path(name).suffix for name in NAMES} == set(KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_the_corpus_is_understood(name: str, tmp_path: Path) -> None:
    assert check(name, FILES[name], normalise, tmp_path) == ("FileAnimated" if "moving" in name else "taken")


def search(take: Take, folder: Path, examples: int) -> None:
    """Mutate the corpus in the same way each time. Raises `Finding` for what breaks intake."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        print_blob=False,
    )
    @given(st.sampled_from(NAMES), st.integers(0, 2**32))
    @example("rgb.avif", 0)
    def property_holds(name: str, seed: int) -> None:
        check(name, mutate(FILES[name], random.Random(seed)), take, folder)

    property_holds()


def test_damaged_files_are_refused_and_raise_nothing_else(tmp_path: Path) -> None:
    search(normalise, tmp_path, EXAMPLES)


def test_damaged_files_have_a_thumbnail_or_none_and_raise_nothing_else(tmp_path: Path) -> None:
    def take(source: Path, target: Path, kind: Kind) -> tuple[int, int]:
        del kind
        return make_thumbnail(source, target, mark_results=True)

    search(take, tmp_path, EXAMPLES)


def test_damaged_files_are_marked_without_a_change_of_their_pixels() -> None:
    rng = random.Random(5)
    files = [
        (name, data) for name, whole in FILES.items() for data in (whole, *(mutate(whole, rng) for _ in range(40)))
    ]
    outcomes = Counter(check_mark(name, data) for name, data in files)
    assert min(outcomes["marked"], outcomes["not marked"]) > 100


def test_a_mark_that_changes_pixels_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(data: bytes) -> bytes:
        return marked(FILES["palette.png"])

    monkeypatch.setattr(fuzz, "marked", planted)
    with pytest.raises(Finding, match="Changed"):
        check_mark("rgb.png", FILES["rgb.png"])


def test_a_planted_bug_is_found(tmp_path: Path) -> None:
    """A decoder that raises `KeyError` for GIFs without an end, as Pillow raises other errors for other files."""

    def planted(source: Path, target: Path, kind: Kind) -> str:
        data = source.read_bytes()
        if data.startswith(b"GIF8") and not data.endswith(b";"):
            raise KeyError("no trailer")
        return normalise(source, target, kind)

    with pytest.raises(Finding, match=r"\.gif: KeyError"):
        search(planted, tmp_path, EXAMPLES)


def test_a_longer_search_saves_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fuzz.main(["--minutes", "0.005", "--seed", "1"]) == 0
    assert not list(tmp_path.iterdir())

    def planted(source: Path, target: Path, kind: Kind) -> str:
        if kind == "audio":
            raise IndexError
        return normalise(source, target, kind)

    monkeypatch.setattr(fuzz, "normalise", planted)
    assert fuzz.main(["--minutes", "0.05", "--seed", "1"]) == 1
    assert list(tmp_path.glob("finding-*"))


@pytest.mark.anyio
async def test_damaged_files_in_real_processes_leave_other_requests_alone(tmp_path: Path) -> None:
    rng = random.Random(3)
    good = tmp_path / "good"
    good.write_bytes(encoded(noise((16, 16)), "PNG"))
    damaged = [path.read_bytes() for path in sorted((CORPUS / "damaged").iterdir())]
    mutated = [(name, mutate(FILES[name], rng)) for name in NAMES for _ in range(THROUGH_PROCESSES // len(NAMES))]
    async with running() as client:
        for number, (name, data) in enumerate([*(("a.png", data) for data in damaged), *mutated]):
            source = tmp_path / f"source{number}"
            source.write_bytes(data)
            found = await outcome(client, source, "ada", KINDS[Path(name).suffix])
            assert found not in {"WorkerDied", "TooMuchTime", "WorkerUnavailable", "DiskFailed"}, name
            if number % 10 == 0:
                assert await outcome(client, good, "grace") == ".png"
        assert await outcome(client, good, "grace") == ".png"


def test_mutations_are_repeatable_and_change_the_file() -> None:
    data = FILES["rgb.png"]
    made = [mutate(data, random.Random(seed)) for seed in range(50)]
    assert made == [mutate(data, random.Random(seed)) for seed in range(50)]
    assert sum(one != data for one in made) > 40
    assert mutate(b"", random.Random(1)) == b""
