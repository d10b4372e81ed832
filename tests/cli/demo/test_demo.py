"""What the demo claims, proven with its own simulators in a real process."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from statistics import median

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute

from app.cli.demo.command import PEOPLE
from app.cli.demo.page import check_port
from app.cli.demo.server import DemoServer
from app.config.toml_table import ConfigError
from tests.cli.test_parser import BACKENDS, ENOUGH, atelier, started

PICTURES = sum(len(prompts) for prompts in PEOPLE.values())


class Run:
    """One run of the demo, to its end."""

    def __init__(self, out: Path, backend: str) -> None:
        self.out = out
        # An engine is configured that the demo does not use.
        engine = "valkey://127.0.0.1:9"
        done = atelier("demo", "--out", str(out), "--backend", backend, COLUMNS="60", ATELIER_ENGINE=engine)
        self.code, self.errors, self.text = done.returncode, done.stderr, done.stdout
        self.lines = done.stdout.splitlines()
        self.finished = [line.split() for line in self.lines if "  finished: " in line]
        """Name, workflow, "finished:" and file of each picture, in the order in which they came."""

    def figures(self, pattern: str) -> list[int]:
        """The numbers in the report at the end, whose line breaks do not matter."""
        match = re.search(pattern, re.sub(r"\s+", " ", self.text))
        assert match is not None, self.text
        return [int(group) for group in match.groups()]


@pytest.fixture(scope="module", params=BACKENDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("demo"), request.param)


def test_nothing_is_lost_and_nothing_comes_twice(run: Run) -> None:
    assert (run.code, run.errors) == (0, "")
    files = [line[3] for line in run.finished]
    assert len(files) == len(set(files)) == PICTURES
    assert {str(file) for file in run.out.glob("*.png")} == set(files)
    assert all(Path(file).read_bytes().startswith(b"\x89PNG") for file in files)
    assert run.figures(r"Nothing lost (\d+) of (\d+) pictures arrived in \d+ s\.") == [PICTURES, PICTURES]
    assert f"The pictures are in {run.out}." in run.lines


def test_everybody_gets_what_they_asked_for(run: Run) -> None:
    for person, prompts in PEOPLE.items():
        assert sum(line[0] == person for line in run.finished) == len(prompts)


def test_nobody_waits_for_the_twenty_pictures_of_the_person_who_asked_first(run: Run) -> None:
    queued = [line.split()[0] for line in run.lines if "  queued, " in line]
    assert queued[:20] == ["Ada"] * 20, "she asked before all others"
    owners = [line[0] for line in run.finished]
    hers = [number for number, owner in enumerate(owners) if owner == "Ada"]
    theirs = [number for number, owner in enumerate(owners) if owner != "Ada"]
    assert median(theirs) < median(hers)
    later = sum(number > max(theirs) for number in hers)
    pattern = r"asked first, for (\d+) pictures\. Then four others asked for (\d+)\. When all \d+ were made, (\d+) of"
    assert run.figures(pattern) == [20, len(theirs), later]


def test_a_server_is_killed_and_its_pictures_are_made_again(run: Run) -> None:
    killed, back = (next(number for number, line in enumerate(run.lines) if part in line) for part in KILLED_AND_BACK)
    assert any("  finished: " in line for line in run.lines[:killed]), "midway"
    assert any("  finished: " in line for line in run.lines[killed:back]), "others go on meanwhile"
    (lost,) = (int(line.split()[-4]) for line in run.lines if KILLED_AND_BACK[0] in line)
    assert lost >= 2, "one that it ran, and one that waited there"
    assert any(" makes a picture of " in line for line in run.lines[killed:])
    pattern = (
        r"Failover Server 2 was killed with (\d+) pictures to make, and came back \d+ s later\. (\d+) were made again"
    )
    assert run.figures(pattern) == [lost, lost]


KILLED_AND_BACK = ("Server 2 was killed.", "Server 2 is back")


def test_the_header_names_what_the_end_proves(run: Run) -> None:
    header, end = run.text.split("queued", 1)[0], run.text.rsplit("  finished: ", 1)[1]
    for claim in ("Fairness", "Failover", "Nothing lost"):
        assert claim in header
        assert claim in end


def test_all_lines_but_those_with_a_file_fit_into_sixty_columns(run: Run) -> None:
    shown = [line for line in run.lines if str(run.out) not in line and "  queued, " not in line]
    assert all(len(line) <= 60 for line in shown), max(shown, key=len)
    assert "\x1b" not in run.text


def test_columns_start_at_the_same_place_in_every_line(run: Run) -> None:
    lines = [line for line in run.lines if re.match(r"\w+ +(txt|img)2img ", line)]
    assert {re.search("(txt|img)2img", line).start() for line in lines} == {7}  # pyright: ignore[reportOptionalMemberAccess]


def test_it_ends_with_two_commands_that_work(run: Run) -> None:
    simulate, generate = run.lines[-2:]
    assert simulate.endswith("-m app simulate")
    assert generate.endswith('-m app generate txt2img prompt="a fox"')
    python = simulate.split()[0]
    assert python == "uv" or Path(python).resolve() == Path(sys.executable).resolve()


@pytest.mark.parametrize("moment", ["started", "was killed"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_the_demo_leaves_no_traceback(
    signum: signal.Signals, moment: str, tmp_path: Path
) -> None:
    with started("demo", "--out", str(tmp_path)) as process:
        assert process.stdout is not None
        while moment not in process.stdout.readline():
            pass
        process.send_signal(signum)
        out, err = process.communicate(timeout=ENOUGH)
    assert (process.returncode, err) == (130 if signum == signal.SIGINT else 143, "")
    assert "Nothing lost" not in out, "what was cut short proves nothing"


def test_the_page_shows_what_was_drawn_until_a_signal(tmp_path: Path) -> None:
    with started("demo", "--page", "--out", str(tmp_path), "--backend", "asyncio") as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("page on "):
            assert line, "it ended before the page was served"
        address = line.removeprefix("page on ").strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        page = httpx.get(address)
        assert page.status_code == 200
        assert page.text.count("/jobs/") >= PICTURES, "a link to each picture"
        assert "Log in" not in page.text
        found = httpx.get(address, params={"text": "kite"}).text
        assert 0 < found.count("/jobs/") < page.text.count("/jobs/")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=ENOUGH)
    assert (process.returncode, err) == (143, "")


async def test_a_port_that_is_taken_is_one_sentence_before_anything_is_drawn() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        with pytest.raises(ConfigError, match=f"cannot be served at port {port} .*choose another one"):
            await check_port(port)
    await check_port(port)


async def test_a_server_that_is_killed_refuses_connections_and_comes_back_at_its_port_with_nothing(
    tmp_path: Path,
) -> None:
    server = DemoServer("Server 1", tmp_path)
    async with anyio.create_task_group() as tasks, httpx.AsyncClient() as client:
        await server.start(tasks)
        url = server.config.url
        graph = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        }
        assert (await client.post(f"{url}/prompt", json={"prompt": graph})).status_code == 200
        with anyio.fail_after(ENOUGH):
            while not (await client.get(f"{url}/history")).json():  # noqa: ASYNC110  another program's history
                await anyio.sleep(0.01)
        await server.kill()
        with pytest.raises(httpx.TransportError):
            await client.get(f"{url}/queue")
        await server.start(tasks)
        assert server.config.url == url
        assert (await client.get(f"{url}/history")).json() == {}
        assert (await client.get(f"{url}/queue")).json() == {"queue_running": [], "queue_pending": []}
        tasks.cancel_scope.cancel()
