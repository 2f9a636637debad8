"""Intake with real files, real DuckDB and real Great Expectations."""

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.landing import Source
from governance_pipeline.errors import SourceError
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    FORMS,
    as_csv,
    as_jsonl,
    as_parquet,
    decision,
    deliver,
    make_home,
    only,
    rows_in,
    take_in,
    write_registry,
)

NEXT_DAY = DAY + dt.timedelta(days=1)
THE_DAY_BEFORE = DAY - dt.timedelta(days=1)
SEEN = "decision_id, decided_at, score, is_fired, reach, gmv, experiment_arm, strategy_version"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


def test_every_row_is_accepted_or_in_the_quarantine(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 21)]
    rows[3]["score"] = 1.7
    rows[5]["action"] = "explode"
    rows[7]["decided_at"] = "yesterday"
    lines = as_csv(rows).splitlines(keepends=True)
    lines.insert(3, b"half a row\n")
    deliver(paths, "a.csv", b"".join(lines))

    made = only(take_in(paths))

    assert (made.state, made.rows_delivered) == ("accepted", 21)
    assert (made.rows_accepted, made.rows_quarantined) == (17, 4)
    away = rows_in(paths, "decisions", "row_number, rule, value, file, run_id", "quarantine")
    file = "landing/decisions/shopads/2026-03-01/a.csv"
    assert away == [
        (3, "row_is_readable", "half a row", file, "run"),
        (5, "score_is_between_0_and_1", "1.7", file, "run"),
        (7, "action_is_known", "explode", file, "run"),
        (9, "decided_at_is_a_timestamp", "yesterday", file, "run"),
    ]
    whole = rows_in(paths, "decisions", "row_number, row_json", "quarantine")
    assert json.loads(whole[1][1])["market"] == "US"
    assert made.sources[0].rows == 21


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_accepted_rows(paths: Paths, name: str) -> None:
    rows = [decision(n) for n in range(1, 51)]
    deliver(paths, name, FORMS[name](rows))

    made = only(take_in(paths))

    assert (made.rows_accepted, made.rows_quarantined, made.refusal) == (50, 0, None)
    at = dt.datetime(2026, 3, 1, 10)
    expected = [
        (r["decision_id"], at, r["score"], r["is_fired"], r["reach"], 1.5, None, 1) for r in rows
    ]
    assert rows_in(paths, "decisions", SEEN) == sorted(expected)


def test_a_zone_in_the_text_is_honoured_and_no_number_is_rounded(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 21)]
    rows[0]["decided_at"] = "2026-03-01 23:45:00+05:30"
    rows[1]["reach"] = "3.7"
    deliver(paths, "a.csv", as_csv(rows))
    assert only(take_in(paths)).rows_quarantined == 1
    assert rows_in(paths, "decisions", "min(decided_at)")[0][0] == dt.datetime(2026, 3, 1, 10)
    assert rows_in(paths, "decisions", "max(decided_at)")[0][0] == dt.datetime(2026, 3, 1, 18, 15)
    assert rows_in(paths, "decisions", "rule, value", "quarantine") == [
        ("reach_is_an_integer", "3.7")
    ]


def test_of_rows_with_one_key_the_first_is_kept(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 21)]
    deliver(paths, "a.csv", as_csv([*rows, decision(2), decision(3, score=0.99)]))
    made = only(take_in(paths))
    assert (made.rows_accepted, made.rows_quarantined) == (20, 2)
    assert rows_in(paths, "decisions", "row_number, rule, value", "quarantine") == [
        (21, "decision_id_is_unique", "d2"),
        (22, "decision_id_is_unique", "d3"),
    ]
    assert ("d3", 0.03) in rows_in(paths, "decisions", "decision_id, score")


def test_a_delivery_sent_twice_over_is_not_refused_for_it(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 21)]
    deliver(paths, "a.csv", as_csv(rows))
    deliver(paths, "b.csv", as_csv(rows))
    deliver(paths, "c.jsonl", as_jsonl(rows))
    made = only(take_in(paths))
    assert (made.state, made.rows_delivered, made.rows_accepted) == ("accepted", 40, 20)
    assert [source.rows for source in made.sources] == [20, 0, 20]


def test_too_many_bad_rows_refuse_the_delivery_and_keep_what_was_there(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 11)]
    deliver(paths, "a.csv", as_csv(rows))
    first = only(take_in(paths))
    deliver(paths, "a.csv", as_csv([r | {"score": 7} if n < 3 else r for n, r in enumerate(rows)]))

    made = only(take_in(paths))

    assert made.state == "refused"
    assert "3 of 10 rows break critical rules, more than 20%" in (made.refusal or "")
    assert (made.rows_delivered, made.rows_accepted, made.rows_quarantined) == (10, 0, 10)
    assert made.files["accepted"] == first.files["accepted"]
    assert made.decision_days == first.decision_days == [DAY]
    rules = [rule for (rule,) in rows_in(paths, "decisions", "rule", "quarantine")]
    assert rules == ["delivery_refused"] * 7 + ["score_is_between_0_and_1"] * 3


def test_a_missing_column_refuses_and_says_what_was_found(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 11)]
    for row in rows:
        row["strategy"] = row.pop("strategy_id")
    deliver(paths, "a.csv", as_csv(rows))
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]), NEXT_DAY)
    refused, accepted = take_in(paths, [DAY, NEXT_DAY])
    assert (refused.state, accepted.state) == ("refused", "accepted")
    assert "a.csv lacks strategy_id (text); it has decision_id, " in (refused.refusal or "")
    assert (refused.rows_delivered, refused.rows_quarantined) == (10, 10)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", as_parquet([decision(n) for n in range(9)])[:-30]),
        ("a.csv.gz", gzip.compress(as_csv([decision(n) for n in range(9000)]))[:-2000]),
        ("a.jsonl.gz", b"no gzip at all"),
        ("a.csv", as_csv([decision()]).decode().encode("utf-16")),
        ("a.xlsx", b"PK"),
    ],
)
def test_a_file_that_cannot_be_read_stops_no_other(paths: Paths, name: str, content: bytes) -> None:
    deliver(paths, name, content)
    for offset in (1, 2):
        day = DAY + dt.timedelta(days=offset)
        suffix = name.partition(".")[2] if name != "a.xlsx" else "csv"
        suffix = suffix if f"a.{suffix}" in FORMS else "csv"
        deliver(paths, f"a.{suffix}", FORMS[f"a.{suffix}"]([decision(n) for n in range(5)]), day)
    refused, *others = take_in(paths, [DAY + dt.timedelta(days=n) for n in range(3)])
    assert refused.state == "refused"
    assert (refused.refusal or "").startswith(name)
    assert [(other.state, other.rows_accepted) for other in others] == [("accepted", 5)] * 2


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", as_csv([])), ("a.csv", b""), ("a.jsonl", b"\n")]
)
def test_no_rows_and_not_delivered_are_different(paths: Paths, name: str, content: bytes) -> None:
    deliver(paths, name, content)
    made = only(take_in(paths, [DAY, NEXT_DAY]))
    assert (made.delivery_date, made.state, made.rows_delivered) == (DAY, "empty", 0)
    assert manifests.read(paths.lake, "decisions", "shopads", NEXT_DAY) is None


def test_files_being_written_are_left_alone(paths: Paths) -> None:
    for name in (".a.csv", "_a.csv", "a.csv.tmp", "a.csv.part"):
        deliver(paths, name, as_csv([decision()]))
    assert only(take_in(paths)).state == "empty"


def test_the_same_bytes_again_change_nothing(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    first = only(take_in(paths, run_id="one"))
    manifest = paths.lake / "manifests" / "decisions" / "shopads" / "2026-03-01.json"
    before = (manifest.stat().st_mtime_ns, manifest.read_bytes())
    assert only(take_in(paths, run_id="two")) == first
    assert (manifest.stat().st_mtime_ns, manifest.read_bytes()) == before


def test_a_changed_file_restates_its_day_and_both_days_it_touches(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    first = only(take_in(paths))
    late = [decision(n, decided_at=f"{THE_DAY_BEFORE}T23:59:59Z") for n in range(1, 11)]
    deliver(paths, "a.csv", as_csv(late))
    made = only(take_in(paths))
    assert (first.restatements, made.restatements) == (0, 1)
    assert made.decision_days == [THE_DAY_BEFORE, DAY]
    assert not set(made.files["accepted"]) & set(first.files["accepted"])
    assert (paths.lake / first.files["accepted"][0]).exists()
    assert first.token != made.token
    assert rows_in(paths, "decisions", "distinct decision_date") == [(THE_DAY_BEFORE,)]


def test_a_purged_landing_folder_takes_nothing_back(paths: Paths) -> None:
    file = deliver(paths, "a.csv", as_csv([decision()]))
    first = only(take_in(paths))
    file.unlink()
    file.parent.rmdir()
    assert only(take_in(paths)) == first


def test_a_crash_before_the_manifest_leaves_the_state_before(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    first = only(take_in(paths))
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 6)]))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(manifests, "commit_all", die)
        with pytest.raises(KeyboardInterrupt):
            take_in(paths)
    assert manifests.read_all(paths.lake) == [first]
    assert len(rows_in(paths, "decisions")) == 10
    assert not list((paths.lake / ".staging").iterdir())
    assert only(take_in(paths)).rows_accepted == 5


def test_new_columns_are_listed(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) | {"mood": "fine"} for n in range(1, 6)]))
    assert only(take_in(paths)).extra_columns == ["mood"]


def test_a_source_without_dates_is_split_by_event_day(paths: Paths, tmp_path: Path) -> None:
    """A file over years, its own columns mapped, rows without a date on the first day."""
    rows: list[dict[str, Any]] = [
        {"id": n, "when": f"{1 + n % 2:02d}/03/{2024 + n % 3}", "p": "0.5", "hit": n % 2}
        for n in range(60)
    ]
    rows[33]["p"] = "7"
    rows += [{"id": 100 + n, "when": "no date", "p": "0.5", "hit": 0} for n in range(2)]
    (tmp_path / "logs").mkdir()
    for name, part in (("x.csv", rows[:31]), ("y.csv", rows[31:])):
        (tmp_path / "logs" / name).write_bytes(as_csv(part))
    mapping = """
        select 'c' || id as decision_id, strptime(nullif("when", 'no date'), '%d/%m/%Y') as
            decided_at, 'ad-health-claim-block' as strategy_id, 1 as strategy_version,
            'live' as environment, id as item_id, 'ad' as item_type, p as score,
            hit = '1' as is_fired, if(hit = '1', 'block', 'none') as action, 1 as reach
        from source
    """
    source = Source(
        feed="decisions", channel="shopads", path=str(tmp_path / "logs" / "*.csv"),
        split_by="decided_at", mapping=mapping,
    )  # fmt: skip
    days = [dt.date(y, 3, d) for y in (2024, 2025, 2026) for d in (1, 2, 3)]
    made = take_in(paths, days, sources=[source])
    by_day = {m.delivery_date: (m.state, m.rows_accepted, m.rows_quarantined) for m in made}
    assert by_day.pop(dt.date(2024, 3, 1)) == ("accepted", 10, 2)
    assert [rows for _, rows, _ in by_day.values()] == [9, 0, 10, 10, 0, 10, 10]
    assert by_day[dt.date(2024, 3, 2)][0] == "accepted"
    assert sum(m.rows_delivered for m in made) == 62
    assert sum(m.rows_quarantined for m in made) == 3
    assert take_in(paths, days, sources=[source]) == made
    alone = make_home(tmp_path / "alone")
    one = only(take_in(alone, [days[1]], sources=[source]))
    assert one.rows_accepted == 9
    (row,) = rows_in(alone, "decisions", "file, row_number, value", "quarantine")
    assert (Path(row[0]).name, *row[1:]) == ("y.csv", 3, "7.0")


def test_dated_sources_with_a_mapping_keep_their_days(paths: Paths, tmp_path: Path) -> None:
    for day, rows in ((DAY, 3), (NEXT_DAY, 4)):
        folder = tmp_path / "logs" / "shopads"
        folder.mkdir(parents=True, exist_ok=True)
        content = as_jsonl([decision(n, region="US") for n in range(rows)]) + b"{broken\n" * rows
        (folder / f"{day}.jsonl").write_bytes(content)
    source = Source(
        feed="decisions", path=str(tmp_path / "logs" / "{channel}" / "{date}.jsonl"),
        mapping="select * exclude (market), region as market from source where decision_id <> 'd0'",
    )  # fmt: skip
    made = take_in(paths, [DAY, NEXT_DAY], sources=[source])
    assert [m.rows_delivered for m in made] == [5, 7]
    assert [m.rows_quarantined for m in made] == [5, 7]
    assert {m.state for m in made} == {"refused"}


def test_a_mapping_that_does_not_work_is_named(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv([decision()]))
    for mapping, said in (
        ("select nothing from source", "nothing"),
        ("delete from source", "select"),
        ("select decision_id from source", "gives no decided_at, strategy_id"),
    ):
        source = Source(
            feed="decisions", channel="shopads", path=str(tmp_path / "a.csv"),
            split_by="decided_at", mapping=mapping,
        )  # fmt: skip
        with pytest.raises(SourceError, match=said):
            take_in(paths, sources=[source])


def test_draws_survive_a_restatement_and_a_new_registry(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 401)]
    deliver(paths, "a.csv", as_csv(rows))
    first = only(take_in(paths))
    drawn = dict(rows_in(paths, "sampled_decisions", "item_id, inclusion_probability"))
    assert 150 < len(drawn) < 250
    assert set(drawn.values()) == {0.5}
    write_registry(paths.lake, rate=0.01, policy="another")
    changed = [r | {"reach": 9} for r in rows[50:]] + [decision(n) for n in range(401, 500)]
    deliver(paths, "a.csv", as_csv(changed))
    made = only(take_in(paths))
    again = dict(rows_in(paths, "sampled_decisions", "item_id, inclusion_probability"))
    assert made.plan_hash == first.plan_hash
    kept = {item for item in drawn if int(item[1:]) > 50}
    assert {item for item in again if int(item[1:]) <= 400} == kept
    deliver(paths, "a.csv", as_csv(rows), NEXT_DAY)
    new = only(take_in(paths, [NEXT_DAY]))
    assert new.plan_hash != first.plan_hash


def test_upstreams_own_draw_is_taken_as_it_is(paths: Paths) -> None:
    rows = [decision(n) for n in range(1, 101)]
    for row in rows[:5]:
        row["inclusion_probability"] = 0.05
        row["sample_stratum"] = "risky"
    deliver(paths, "a.csv", as_csv(rows))
    take_in(paths)
    sampled = rows_in(paths, "sampled_decisions", "item_id, inclusion_probability, stratum")
    assert [item for item, _, _ in sampled] == ["i1", "i2", "i3", "i4", "i5"]
    assert {p for _, p, _ in sampled} == {0.05}
    assert sampled[1][2] == "fired/0/risky"


def test_bins_strata_units_and_strangers(paths: Paths) -> None:
    rows = [
        decision(1, score=0.2, item_id="x", is_fired=False, action="none"),
        decision(2, score=0.81, item_id="x", decided_at="2026-03-01T12:00:00Z"),
        decision(3, score=None),
        decision(4, score=1.0, strategy_id="nobody"),
        decision(5, strategy_version=9),
    ]
    deliver(paths, "a.csv", as_csv(rows))
    take_in(paths)
    columns = "decision_id, score_bin, fine_bin, stratum, is_unit, audit_probability"
    assert rows_in(paths, "decisions", columns) == [
        ("d1", 1, 4, "unfired/1", False, 0.5),
        ("d2", 4, 16, "fired/4", True, 0.5),
        ("d3", -1, -1, "unfired/-1", True, 0.5),
        ("d4", 4, 19, "fired/4", True, None),
        ("d5", 0, 1, "unfired/0", True, None),
    ]
    fired = rows_in(paths, "actioned_decisions", "decision_id")
    assert fired == [("d2",), ("d4",)]


cell = st.sampled_from(["", "x", "-1", "0.5", "NaN", "inf", "1e308", "2026-03-01", '"', "a,b", "∞"])


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from(sorted(decision())), cell), max_size=25),
    st.sampled_from(sorted(FORMS)[:3]),
)
def test_rows_in_are_rows_accepted_and_rows_quarantined(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, str, str]], name: str
) -> None:
    paths = make_home(tmp_path_factory.mktemp("home"))
    rows = [decision(n) for n in range(1, 31)]
    for number, column, value in edits:
        rows[number - 1][column] = value
    deliver(paths, name, FORMS[name](rows))
    made = only(take_in(paths))
    assert made.rows_delivered == 30 == made.rows_accepted + made.rows_quarantined
    assert len(rows_in(paths, "decisions", kind="quarantine")) == made.rows_quarantined
    if made.state == "accepted":
        assert len(rows_in(paths, "decisions")) == made.rows_accepted
