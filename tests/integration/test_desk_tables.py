"""The desk's tables in the warehouse: what changed is written, and the rest is as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from governance_pipeline.adapters import desk_tables
from governance_pipeline.adapters.desk_tables import write_desk_tables
from governance_pipeline.adapters.escalating import act_on
from governance_pipeline.adapters.ops_schema import metadata
from governance_pipeline.adapters.ops_store import OpsStore
from governance_pipeline.domain import commands as c
from governance_pipeline.domain.desk import PIPELINE
from tests.unit.desks import DESK, HOUR, NOW, OWNER, Case, finding

TABLES = ("escalations", "escalation_events", "escalation_findings", "escalation_clocks",
          "escalation_metrics")  # fmt: skip
ACK = c.Acknowledge(actor=OWNER, reason="a secret of ines")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpsStore]:
    url = f"sqlite:///{tmp_path / 'ops.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_store_url")
    with OpsStore(url) as opened:
        with opened.writing() as connection:
            for table in metadata.tables.values():
                connection.execute(table.delete())
        yield opened


def kept(store: OpsStore, **changes: object) -> str:
    case = Case(finding(**changes))
    store.append(case.state.escalation_id, 0, case.log)
    return case.state.escalation_id


def rows(warehouse: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return {
            name: connection.execute(f"select * from desk.{name} order by all").fetchall()
            for name in TABLES
        }


def test_what_changed_is_written_as_if_all_had_been_written_anew(
    store: OpsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_tables, "AT_ONCE", 2)
    grown, anew = tmp_path / "grown.duckdb", tmp_path / "anew.duckdb"
    keys = [kept(store, channel=channel) for channel in ("shoptab", "shopads", "video")]
    write_desk_tables(store, grown, NOW)
    read: list[int] = []
    monkeypatch.setattr(desk_tables, "_of_events", _counted(desk_tables._of_events, read))
    act_on(store, DESK, keys[0], ACK, NOW + HOUR)
    another = finding(metric="precision", on=NOW.date())
    act_on(store, DESK, keys[1], c.Note(actor=PIPELINE, reason="more", finding=another), NOW + HOUR)
    kept(store, channel="lives")
    assert write_desk_tables(store, grown, NOW + HOUR)["escalations"] == 4
    assert sum(read) == 1 + 1 + 3
    write_desk_tables(store, anew, NOW + HOUR)
    assert rows(grown) == rows(anew)
    assert not [row for row in rows(grown)["escalation_events"] if "ines" in str(row)]


def test_what_the_store_no_longer_has_is_gone_and_a_shorter_log_is_another(
    store: OpsStore, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    first, second = kept(store), kept(store, channel="shopads")
    act_on(store, DESK, first, ACK, NOW + HOUR)
    write_desk_tables(store, warehouse, NOW)
    with store.writing() as connection:  # as a backup from before would leave it
        for table in metadata.tables.values():
            connection.execute(table.delete())
    kept(store)
    counts = write_desk_tables(store, warehouse, NOW)
    assert (counts["escalations"], counts["escalation_events"]) == (1, 3)
    assert second not in str(rows(warehouse))


def test_who_acts_while_tables_are_written_is_written_the_next_time(
    store: OpsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, follows = kept(store), desk_tables._of_events
    grown, anew = tmp_path / "grown.duckdb", tmp_path / "anew.duckdb"

    def while_somebody_acts(columns: desk_tables.Columns) -> desk_tables.Columns:
        act_on(store, DESK, key, ACK, NOW + HOUR)
        return follows(columns)

    monkeypatch.setattr(desk_tables, "_of_events", while_somebody_acts)
    assert write_desk_tables(store, grown, NOW)["escalation_events"] == 3
    monkeypatch.setattr(desk_tables, "_of_events", follows)
    assert write_desk_tables(store, grown, NOW + HOUR)["escalation_events"] == 4
    write_desk_tables(store, anew, NOW + HOUR)
    assert rows(grown) == rows(anew)


def _counted(function: Any, read: list[int]) -> Any:
    def counting(columns: desk_tables.Columns) -> desk_tables.Columns:
        read.append(len(columns["actor"]))
        return function(columns)

    return counting
