"""What must hold of an escalation holds of what the stores keep of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain.clocks import OUTCOMES
from governance_pipeline.domain.escalation import Escalation, Event, replay
from tests.unit import desk_machine

# Of 50 steps each. A round trip to a server takes its time; 500 there found nothing more.
RUNS = {"sqlite": 500, "postgresql": 100}


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_stored_escalation_stays_whole(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'ops.db'}"
    if backend == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with OpsStore(url) as store:
        if backend == "sqlite":
            # One connection is all there is, and no power fails in the middle of a test.
            with store.engine.connect() as connection:
                connection.exec_driver_sql("rollback")
                connection.exec_driver_sql("pragma synchronous = off")

        class Stored(desk_machine.Desk):
            """Every event goes through the store as it happens."""

            runs = 0

            def keep(self, before: Escalation | None, events: Sequence[Event]) -> None:
                if events and before is None:
                    Stored.runs += 1
                if events:
                    # Runs share the store, so each has ids of its own.
                    self.key = f"{Stored.runs}-{events[0].escalation_id}"
                    store.append(self.key, before.version if before else 0, self.named(events))

            def named(self, events: Sequence[Event]) -> list[Event]:
                from dataclasses import replace

                return [replace(event, escalation_id=self.key) for event in events]

            def teardown(self) -> None:
                super().teardown()
                if not hasattr(self, "key"):
                    return
                from dataclasses import replace

                told = replace(self.state, escalation_id=self.key)
                assert store.load(self.key) == told
                assert replay(store.events(self.key)) == told
                assert store.events(self.key) == self.named(self.log)

        run_state_machine_as_test(
            Stored,
            settings=settings(
                max_examples=RUNS[backend],
                stateful_step_count=50,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert Stored.runs >= RUNS[backend]
        clocks = store.frame("escalation_clocks")
        assert clocks["outcome"].value_counts().reindex(OUTCOMES).sum() == len(clocks)
        ended = store.frame("escalations").query("not is_open")["escalation_id"]
        assert not (clocks[clocks["escalation_id"].isin(ended)]["outcome"] == "running").any()
