"""`governance feed release`: what was turned away comes in once its cause is mended."""

import datetime as dt
import json
import shutil
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.manifests import Manifest
from governance_pipeline.adapters.releasing import release_rows
from governance_pipeline.cli import cli
from governance_pipeline.errors import InputError, SourceError
from governance_pipeline.paths import Paths
from governance_pipeline.settings import EXPECTATIONS, Settings
from tests.integration.deliveries import (
    DAY,
    as_csv,
    decision,
    deliver,
    make_home,
    only,
    rows_in,
    take_in,
)
from tests.integration.test_set_rules import rows_of

NEXT_DAY = DAY + dt.timedelta(days=1)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """One day with three words for an action that nobody knows, and one day that is fine."""
    paths = make_home(tmp_path / "home")
    paths.governance_yaml.write_text(f"calendar: {{start: {DAY}}}\n")
    rows = [decision(n, action="hide" if n < 3 else "none") for n in range(20)]
    deliver(paths, "a.csv", as_csv(rows))
    deliver(paths, "a.csv", as_csv(rows_of(NEXT_DAY, 5)), NEXT_DAY)
    take_in(paths, [DAY, NEXT_DAY])
    return paths


def settings(paths: Paths) -> Settings:
    return Settings(home=paths.root)


def delivery(paths: Paths, day: dt.date = DAY) -> Manifest:
    manifest = manifests.read(paths.lake, "decisions", "shopads", day)
    assert manifest is not None
    return manifest


def in_files(paths: Paths, kind: str, day: dt.date = DAY) -> int:
    files = [str(paths.lake / name) for name in delivery(paths, day).files[kind]]
    if not files:
        return 0
    with duckdb.connect() as connection:
        found = connection.execute("select count(*) from read_parquet($files)", {"files": files})
        return int(found.fetchall()[0][0])


def release(paths: Paths, *arguments: str) -> str:
    done = CliRunner().invoke(cli, ["--home", str(paths.root), "feed", "release", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_rows_come_in_when_their_rule_is_mended_and_every_row_is_somewhere(
    paths: Paths, tmp_path: Path
) -> None:
    suites = Path(shutil.copytree(EXPECTATIONS, tmp_path / "suites"))
    known = (suites / "decisions.yaml").read_text()
    (suites / "decisions.yaml").write_text(known.replace("[none, boost,", "[none, hide, boost,"))
    assert (in_files(paths, "accepted"), in_files(paths, "quarantine")) == (17, 3)
    outcome = only_outcome(paths, suites)
    assert (outcome.before.rows_quarantined, outcome.after.rows_quarantined) == (3, 0)
    assert (outcome.stays, outcome.after.restatements) == ("", 1)
    after = delivery(paths)
    assert after.rows_delivered == after.rows_accepted + after.rows_quarantined == 20
    assert (in_files(paths, "accepted"), in_files(paths, "quarantine")) == (20, 0)
    assert delivery(paths, NEXT_DAY).restatements == 0  # nothing of it was turned away
    assert release_rows(settings(paths), suites=suites) == []


def only_outcome(paths: Paths, suites: Path):  # type: ignore[no-untyped-def]
    (outcome,) = release_rows(settings(paths), suites=suites)
    return outcome


def test_rows_come_in_when_their_file_is_mended_and_what_stays_is_said(paths: Paths) -> None:
    rows = [decision(n, action="hide" if n < 1 else "none") for n in range(20)]
    deliver(paths, "a.csv", as_csv(rows))
    said = release(paths)
    assert (
        "decisions shopads 2026-03-01: 2 rows let in, 1 stay out:"
        " action_is_known turns away 1 of 20 rows" in said
    )
    assert (in_files(paths, "accepted"), in_files(paths, "quarantine")) == (19, 1)
    again = json.loads(release(paths, "--json"))
    assert (again["rows_accepted"], again["rows_accepted_before"]) == (19, 19)
    assert "neither its files nor its rules changed" in again["stays"]
    assert delivery(paths).restatements == 1


def test_rows_come_in_though_landing_was_cleared_since(paths: Paths, tmp_path: Path) -> None:
    file = paths.landing / "decisions" / "shopads" / str(DAY) / "a.csv"
    sources = delivery(paths).sources
    shutil.rmtree(file.parent)
    suites = Path(shutil.copytree(EXPECTATIONS, tmp_path / "suites"))
    known = (suites / "decisions.yaml").read_text()
    mended = known.replace("[none, boost,", "[none, hide, boost,")
    (suites / "decisions.yaml").write_text(mended.replace("max_value: 1}", "max_value: 0.17}"))
    outcome = only_outcome(paths, suites)
    assert (outcome.after.rows_accepted, outcome.after.rows_quarantined) == (18, 2)
    assert rows_in(paths, "decisions", "file, row_number, value", "quarantine") == [
        ("landing/decisions/shopads/2026-03-01/a.csv", 19, "0.18"),
        ("landing/decisions/shopads/2026-03-01/a.csv", 20, "0.19"),
    ]
    assert delivery(paths).sources == sources
    (suites / "decisions.yaml").write_text(mended)
    assert only_outcome(paths, suites).after.rows_quarantined == 0
    assert "delivered" not in delivery(paths).files


def test_a_file_that_was_written_over_before_it_went_is_not_taken_for_itself(paths: Paths) -> None:
    file = paths.landing / "decisions" / "shopads" / str(DAY) / "a.csv"
    file.write_bytes(b"another")
    file.unlink()
    with pytest.raises(SourceError, match=r"a\.csv is gone and was written over before"):
        release_rows(settings(paths))
    assert (in_files(paths, "accepted"), in_files(paths, "quarantine")) == (17, 3)


def test_only_the_deliveries_that_were_asked_for_are_released(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(20)]))
    assert "0 of 0 deliveries" in release(paths, "--from", str(NEXT_DAY))
    assert "0 of 0 deliveries" in release(paths, "--channel", "lives")
    assert "0 of 0 deliveries" in release(paths, "--feed", "appeals")
    assert "1 of 1 deliveries" in release(paths, "--date", str(DAY))


def test_a_delivery_that_is_right_though_unusual_is_let_in_with_its_reason_and_sets_the_measure(
    tmp_path: Path,
) -> None:
    paths = make_home(tmp_path / "home")
    paths.governance_yaml.write_text(f"calendar: {{start: {DAY}}}\n")
    days = [DAY + dt.timedelta(days=n) for n in range(10)]
    for day, size in zip(days, [30] * 8 + [600, 580], strict=True):
        deliver(paths, "a.csv", as_csv(rows_of(day, size)), day)
    made = take_in(paths, days)
    assert [m.state for m in made[-2:]] == ["refused", "refused"]
    one = ("--feed", "decisions", "--channel", "shopads", "--date", str(days[-2]))
    despite = ("--despite", "row_count_is_plausible", "--reason", "a festival")
    assert "600 rows let in, 0 stay out" in release(paths, *one, *despite)
    after = delivery(paths, days[-2])
    assert after.state == "accepted"
    assert after.released is not None
    assert after.released.reason == "a festival"
    assert not next(r for r in after.rules if r.rule == "row_count_is_plausible").passed
    assert "0 of 0" in release(paths, *one, *despite)  # nothing of it is turned away any more
    assert only(take_in(paths, [days[-2]])).restatements == 1  # and the next run leaves it in
    deliver(paths, "a.csv", as_csv(rows_of(days[-1], 590)), days[-1])
    assert only(take_in(paths, [days[-1]])).state == "accepted"  # what came since is the measure


def test_no_rule_on_single_rows_can_be_overruled(paths: Paths) -> None:
    with pytest.raises(InputError, match="action_is_known is no rule that refuses whole"):
        release_rows(settings(paths), feed="decisions", despite="action_is_known", reason="so")
    done = CliRunner().invoke(
        cli, ["--home", str(paths.root), "feed", "release", "--despite", "x", "--reason", "y"]
    )
    assert done.exit_code == 2
    assert "for one delivery" in done.output


def test_a_row_that_was_written_nowhere_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from governance_pipeline.adapters import verdicts

    sql = verdicts.quarantine_sql
    monkeypatch.setattr(verdicts, "quarantine_sql", lambda *of: sql(*of) + " where false")
    paths = make_home(tmp_path / "home")
    deliver(
        paths, "a.csv", as_csv([decision(n, action="?" if n == 3 else "none") for n in range(9)])
    )
    lost = only(take_in(paths))
    assert (lost.rows_delivered, lost.rows_accepted, lost.rows_quarantined) == (9, 8, 0)
