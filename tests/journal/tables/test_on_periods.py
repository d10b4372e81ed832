"""The journal knows when servers that the bot starts and stops were on."""

from __future__ import annotations

from pathlib import Path

from app.core.servers.power import Change, OnPeriod, PowerRecord, Starter, view_of
from app.events import ServerName
from app.journal.opening import open_store
from app.journal.store import Store
from app.journal.tables.on_periods import MOST_PERIODS, POWER_KEPT

CLOUD, CELLAR = ServerName("cloud"), ServerName("cellar")


class Clock:
    """Seconds since 1970, turned by hand."""

    def __init__(self) -> None:
        self.now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def record(self, store: Store, *changes: Change, server: ServerName = CLOUD, starter: Starter = "bot") -> None:
        """Record these changes, ten seconds apart."""
        for change in changes:
            store.record_power([PowerRecord(server, change, starter)])
            self.now += 10


def test_a_period_has_its_moments_and_survives_a_restart(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "atelier.db"
    with open_store(path, clock=clock) as store:
        clock.record(store, "started", "answered", "stopping", "answered", "stopping", "stopped")
        clock.record(store, "started", server=CELLAR, starter="operator")
    with open_store(path, clock=clock) as store:
        assert store.on_periods() == [
            OnPeriod(CLOUD, "bot", 70.0, 60.0, 30.0, 20.0),
            OnPeriod(CELLAR, "operator", 10.0),
        ]
        assert view_of(CLOUD, store.on_periods()).state == "off"
        assert view_of(CLOUD, store.on_periods()).used == 50.0
        assert view_of(CELLAR, store.on_periods()).state == "starting"


def test_a_stop_that_fails_is_forgotten_and_a_new_start_ends_the_one_before(tmp_path: Path) -> None:
    clock = Clock()
    with open_store(tmp_path / "atelier.db", clock=clock) as store:
        clock.record(store, "started", "answered", "stopping")
        assert view_of(CLOUD, store.on_periods()).state == "stopping"
        clock.record(store, "answered")
        assert view_of(CLOUD, store.on_periods()).state == "on"
        clock.record(store, "started")
        first, second = store.on_periods()
        assert (first.stopped, second.started, second.stopped) == (10.0, 10.0, None)
        clock.record(store, "stopped", "stopped", "answered")
        assert view_of(CLOUD, store.on_periods()).state == "off", "what is over stays over"


def test_a_clock_that_was_set_back_makes_nothing_later_than_now(tmp_path: Path) -> None:
    clock = Clock()
    with open_store(tmp_path / "atelier.db", clock=clock) as store:
        clock.record(store, "started", "answered")
        clock.now -= 5000
        assert store.on_periods() == [OnPeriod(CLOUD, "bot", 0.0, 0.0)]


def test_old_periods_are_deleted_and_the_newest_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    with open_store(tmp_path / "atelier.db", clock=clock, durable=False) as store:
        for _ in range(MOST_PERIODS + 5):
            clock.record(store, "started", "stopped")
        clock.now += POWER_KEPT
        clock.record(store, "started", server=CELLAR)
        assert len(store.on_periods()) == MOST_PERIODS
        count: tuple[int] = store._database.execute("SELECT count(*) FROM on_periods").fetchone()  # pyright: ignore[reportPrivateUsage]
        assert count[0] == MOST_PERIODS
