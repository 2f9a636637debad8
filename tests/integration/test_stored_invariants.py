"""Whatever is asked of an escalation in whatever order, it and what the stores keep stay whole.

The invariants that the policy ends with, over 500 runs of 50 steps, every event of which goes to
SQLite and to a real PostgreSQL. Where what is looked at:

* one state, an unbroken log, a replay that gives every clock: `Stored.teardown`, of both stores;
* time worked not negative, pauses apart, none at P1 or under a law: `desk_machine.check_clock`;
* no transition outside the table, no clock runs after the end: `check_step`, `check_clock`;
* every clock instance has one outcome and none is lost: `Desk.clocks_are_kept`, and the last lines;
* severity falls by a triager with a reason alone: `check_step`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain.clocks import OUTCOMES
from governance_pipeline.domain.escalation import Escalation, Event, replay
from tests.postgres import MISSING, programs
from tests.unit import desk_machine

RUNS = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

TOGETHER = 5
"""Events of one transaction: each trip to a server takes its time."""


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[OpsStore]]:
    """Both kinds of store, or SQLite alone where there is no PostgreSQL."""
    urls = [f"sqlite:///{tmp_path / 'ops.db'}"]
    if programs() is not None:
        urls.append(request.getfixturevalue("postgres_url"))
    with ExitStack() as opened:
        made = [opened.enter_context(OpsStore(url)) for url in urls]
        # One connection is all there is, and no power fails in the middle of a test.
        with made[0].engine.connect() as connection:
            connection.exec_driver_sql("rollback")
            connection.exec_driver_sql("pragma synchronous = off")
        yield made


def test_an_escalation_stays_whole_and_so_does_what_is_stored(stores: list[OpsStore]) -> None:
    class Stored(desk_machine.Desk):
        """Every event goes through the stores, a few at a time."""

        runs = 0

        def keep(self, before: Escalation | None, events: Sequence[Event]) -> None:
            if events and before is None:
                Stored.runs += 1
                self.waiting: list[Event] = []
            if events:
                # Runs share the stores, so each has ids of its own.
                self.key = f"{Stored.runs}-{events[0].escalation_id}"
                self.waiting += self.named(events)
                if len(self.waiting) >= TOGETHER:
                    self.flush()

        def flush(self) -> None:
            for store in stores:
                if self.waiting:
                    store.append(self.key, self.waiting[0].seq - 1, self.waiting)
            self.waiting = []

        def named(self, events: Sequence[Event]) -> list[Event]:
            return [replace(event, escalation_id=self.key) for event in events]

        def teardown(self) -> None:
            super().teardown()
            if not hasattr(self, "key"):
                return
            self.flush()
            told = replace(self.state, escalation_id=self.key)
            for store in stores:
                assert store.load(self.key) == told
                log = store.events(self.key)
                assert log == self.named(self.log)
                assert replay(log) == told

    run_state_machine_as_test(Stored, settings=RUNS)
    assert Stored.runs >= RUNS.max_examples
    for store in stores:
        clocks = store.frame("escalation_clocks")
        outcomes = clocks["outcome"].value_counts()
        assert set(outcomes.index) == set(OUTCOMES)
        assert outcomes.sum() == len(clocks)
        ended = store.frame("escalations").query("not is_open")["escalation_id"]
        assert not (clocks[clocks["escalation_id"].isin(ended)]["outcome"] == "running").any()
    if len(stores) == 1:
        pytest.skip(f"it holds on SQLite. {MISSING}")
