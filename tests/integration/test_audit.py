"""From a plan to labels that count: planning, exporting, answering, importing, closing."""

import csv
import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from governance_pipeline.adapters import refresh
from governance_pipeline.adapters.answers import import_answers
from governance_pipeline.adapters.auditing import plan_audits
from governance_pipeline.adapters.dated_plans import dated_plans
from governance_pipeline.adapters.engines.duckdb import DuckDB
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.interventions import read_interventions
from governance_pipeline.adapters.judging import judge_warehouse
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.adapters.worklists import COLUMNS, write_worklist
from governance_pipeline.errors import DeliveryError, InputError, SourceError
from governance_pipeline.feeds import FEEDS
from governance_pipeline.paths import Paths
from tests.conftest import run_governance
from tests.integration.deliveries import as_jsonl, decision

DAYS = [dt.date(2026, 3, 1) + dt.timedelta(days=n) for n in range(4)]
NOW = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
# Both judge an item by the policy seller_trust on shoptab, one to limit it and one to boost it.
LIMIT, BOOST = "new-seller-limit", "trusted-seller-boost"
Answers = list[dict[str, str]]


def decisions(day: dt.date) -> bytes:
    rows = []
    for strategy, action in ((LIMIT, "limit"), (BOOST, "boost")):
        for n in range(150):
            fired = n % (3 if action == "limit" else 4) == 0
            # One id that a spreadsheet would run, were it not neutralised; another with a
            # separator of lines in it that is none in JSON lines.
            item = {0: "=cmd()", 1: "a\u2028b"}.get(n, f"i{n}")
            rows.append(
                decision(
                    n, decision_id=f"{strategy}-{day}-{n}", decided_at=f"{day}T10:00:00Z",
                    channel="shoptab", strategy_id=strategy, item_id=item, item_type="listing",
                    is_fired=fired, action=action if fired else "none", reach=n + 1,
                )
            )  # fmt: skip
    return as_jsonl(rows)


def run_day(paths: Paths, day: dt.date) -> None:
    for feed in FEEDS:
        intake_range(
            feed, ["shoptab"], [day], paths=paths, sources=[], run_id="r", progress=lambda _: None
        )
    plan = refresh.plan_refresh(paths)
    DuckDB("1GB", 2).build(paths, plan)
    refresh.remember(paths, plan)
    judge_warehouse(paths)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A home with a day drawn by the register, a plan for the next, and that day drawn by it."""
    paths = Paths(tmp_path_factory.mktemp("planned") / "home")
    make_home(paths, DAYS[0], sampling_key="key", example=True)
    apply_registry(paths.registry, paths.lake, DAYS[-1])
    for day in DAYS[:2]:
        folder = paths.landing / "decisions" / "shoptab" / str(day)
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_bytes(decisions(day))
    run_day(paths, DAYS[0])
    plan_audits(paths, 120.0, None, is_dry=False)
    run_day(paths, DAYS[1])
    return paths


@pytest.fixture
def paths(planned: Paths, tmp_path: Path) -> Paths:
    shutil.copytree(planned.root, tmp_path / "home")
    return Paths(tmp_path / "home")


def ask(paths: Paths, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        return connection.execute(sql).df()


def worklist(paths: Paths, form: str = "csv", day: dt.date | None = DAYS[1]) -> Path:
    file = paths.root / f"worklist.{form}"
    file.unlink(missing_ok=True)
    write_worklist(paths, file, form, day=day)
    return file


def read(file: Path) -> Answers:
    if file.suffix == ".csv":
        with file.open() as lines:
            return list(csv.DictReader(lines))
    return [json.loads(line) for line in file.read_text().splitlines()]


def answer(file: Path, change: Callable[[Answers], object] = lambda rows: None) -> Path:
    """Fill in a worklist: every third item violates."""
    rows = read(file)
    for number, row in enumerate(sorted(rows, key=lambda row: row["item_id"])):
        row |= {
            "verdict": "violating" if number % 3 == 0 else "not_violating",
            "reviewer_id": "rosa", "labelled_at": f"{DAYS[2]}T09:00:00Z",
        }  # fmt: skip
    change(rows)
    if file.suffix == ".csv":
        with file.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def landed(paths: Paths) -> list[str]:
    found = (paths.landing / "audit_labels").rglob("*.jsonl")
    return sorted(str(file.relative_to(paths.landing)) for file in found)


def test_the_next_day_is_drawn_by_the_plan_and_the_frame_knows_its_uneven_probabilities(
    paths: Paths,
) -> None:
    (plan,) = dated_plans(paths.lake)
    assert plan.effective_from == DAYS[1]
    rows = pd.read_parquet(plan.file)
    assert set(rows["strategy_id"]) == {LIMIT, BOOST}
    assert rows["reach_scale"].notna().any()
    units = pd.concat(
        pd.read_parquet(file)
        for file in (paths.lake / "derived" / "counted_decisions").rglob("*.parquet")
    ).assign(decision_date=lambda d: pd.to_datetime(d["decision_date"]))
    keys = ["strategy_id", "decision_date", "is_fired", "fine_bin"]
    said = units[units["is_unit"]].groupby(keys)["audit_probability"].agg(["sum", "min", "nunique"])
    frame = ask(paths, "select * from int_audit_frame").set_index(keys).sort_index()
    assert (said["nunique"] > 1).any(), "unequal within a cell"
    assert frame["expected_draws"].to_numpy() == pytest.approx(said["sum"].to_numpy(), abs=1e-9)
    assert frame["min_probability"].to_numpy() == pytest.approx(said["min"].to_numpy())
    drawn = ask(paths, "select distinct decision_date, plan_hash from lake.sampled_decisions")
    of_day = dict(zip(drawn["decision_date"].dt.date, drawn["plan_hash"], strict=True))
    assert of_day[DAYS[1]] == plan.plan_hash != of_day.get(DAYS[0])


def test_a_worklist_asks_once_per_item_and_says_nothing_that_leads(paths: Paths) -> None:
    rows = read(worklist(paths))
    assert list(rows[0]) == list(COLUMNS)
    assert not {"strategy_id", "score", "is_fired", "decision_id", "seller_id"} & set(rows[0])
    units = ask(
        paths,
        f"select item_id, strategy_id from int_sampled_units where decision_date = '{DAYS[1]}'",
    )
    assert len(rows) == units["item_id"].nunique() < len(units)
    assert {row["policy_name"] for row in rows} == {"Seller trust"}
    assert {row["verdict"] + row["reviewer_id"] + row["labelled_at"] for row in rows} == {""}
    items = [row["item_id"] for row in rows]
    assert items != sorted(items)
    assert [row["worklist_id"] for row in rows] == sorted(row["worklist_id"] for row in rows)
    everything = read(worklist(paths, day=None))
    assert {row["decided_on"] for row in everything} == {str(day) for day in DAYS[:2]}
    assert read(worklist(paths, form="jsonl"))[0].keys() == set(COLUMNS)


def test_no_cell_of_a_csv_begins_a_formula(paths: Paths) -> None:
    rows = read(worklist(paths, day=None))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert "'=cmd()" in cells


def test_a_worklist_never_replaces_a_file(paths: Paths) -> None:
    file = worklist(paths)
    with pytest.raises(InputError, match="may hold answers"):
        write_worklist(paths, file, "csv")
    with pytest.raises(InputError, match="nowhere is no folder"):
        write_worklist(paths, paths.root / "nowhere" / "a.csv", "csv")
    with pytest.raises(InputError, match="not a home yet"):
        write_worklist(Paths(paths.root / "published"), paths.root / "a.csv", "csv")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_answers_count_for_every_strategy_that_shares_the_policy(paths: Paths, form: str) -> None:
    file = answer(worklist(paths, form))
    done = import_answers(paths, file, now=NOW)
    asked = len(read(file))
    assert done.delivered == {("shoptab", DAYS[2]): asked}
    run_day(paths, DAYS[2])
    counted = ask(
        paths,
        "select u.strategy_id, u.item_id, d.verdict, d.is_fired from int_sampled_units u"
        " left join int_audit_draws d using (strategy_id, decision_id)"
        f" where u.decision_date = '{DAYS[1]}'",
    )
    assert counted["verdict"].notna().all()
    assert set(counted["strategy_id"]) == {LIMIT, BOOST}
    says = counted.pivot_table(
        index="item_id", columns="strategy_id", values="verdict", aggfunc="first"
    ).dropna()
    assert len(says) > 3
    assert (says[LIMIT] != says[BOOST]).all(), "what a restriction should hit a boost should not"
    quarantined = list((paths.lake / "quarantine" / "audit_labels").rglob("*.parquet"))
    assert quarantined == []
    assert write_worklist(paths, paths.root / "left.csv", "csv", day=DAYS[1]) == 0


def test_the_same_answers_twice_change_nothing(paths: Paths) -> None:
    file = answer(worklist(paths))
    first = import_answers(paths, file, now=NOW)
    before = landed(paths)
    again = import_answers(paths, file, now=NOW + dt.timedelta(days=3))
    assert (again.delivered, again.known) == ({}, sum(first.delivered.values()))
    run_day(paths, DAYS[2])
    shutil.rmtree(paths.landing / "audit_labels")
    assert import_answers(paths, file, now=NOW).delivered == {}
    assert len(before) == 1


def test_a_half_filled_worklist_comes_back_in_parts(paths: Paths) -> None:
    file = answer(worklist(paths), lambda rows: [r.update(verdict="") for r in rows[5:]])
    assert import_answers(paths, file, now=NOW).unanswered == len(read(file)) - 5
    done = import_answers(paths, answer(file), now=NOW)
    assert done.known == 5
    assert sum(done.delivered.values()) == len(read(file)) - 5


def test_a_reviewers_other_verdict_is_a_correction_on_a_later_date(paths: Paths) -> None:
    file = answer(worklist(paths))
    import_answers(paths, file, now=NOW)
    changed = answer(file, lambda rows: rows[0].update(verdict="unsure"))
    assert import_answers(paths, changed, now=NOW).delivered == {("shoptab", DAYS[3]): 1}
    run_day(paths, DAYS[2])
    run_day(paths, DAYS[3])
    unsure = ask(
        paths, "select count(distinct item_id) n from stg_audit_labels where verdict = 'unsure'"
    )
    assert unsure["n"].tolist() == [1]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"worklist_id": "0" * 20}, "row 2: worklist_id '0{20}' was never drawn here"),
    ({"item_id": "i999"}, "row 2: item_id 'i999' is not that of .*export again"),
    ({"verdict": "should_fire"}, "row 2: verdict 'should_fire' is none of violating"),
    ({"reviewer_id": ""}, "row 2: reviewer_id is empty; say who answered"),
    ({"labelled_at": "yesterday"}, "row 2: labelled_at 'yesterday' is no time; write it like"),
    ({"labelled_at": ""}, "row 2: labelled_at '' is no time"),
    ({"labelled_at": "2027-01-01"}, "row 2: labelled_at '2027-01-01' is in the future"),
    ({"labelled_at": "2026-03-01T23:00:00Z"}, "row 2: .* is before the decision of 2026-03-02"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_a_wrong_answer_is_named_and_nothing_is_imported(
    paths: Paths, change: dict[str, str], said: str
) -> None:
    file = answer(worklist(paths), lambda rows: rows[0].update(change))
    with pytest.raises(InputError, match=rf"worklist\.csv, {said}") as refused:
        import_answers(paths, file, now=NOW)
    assert str(refused.value).endswith("nothing was imported")
    assert landed(paths) == []


def test_a_row_answered_twice_by_one_reviewer_is_refused_and_by_two_is_not(paths: Paths) -> None:
    file = answer(worklist(paths), lambda rows: rows.append(dict(rows[0])))
    with pytest.raises(InputError, match=r"rosa answered \w+ on row 2 already; keep one"):
        import_answers(paths, file, now=NOW)
    file = answer(worklist(paths), lambda rows: rows.append(rows[0] | {"reviewer_id": "ilse"}))
    assert sum(import_answers(paths, file, now=NOW).delivered.values()) == len(read(file))


def test_a_file_that_is_no_worklist_is_refused(paths: Paths) -> None:
    file = paths.root / "answers.csv"
    file.write_text("item,verdict\n1,violating\n")
    with pytest.raises(DeliveryError, match="has no worklist_id, reviewer_id, labelled_at"):
        import_answers(paths, file, now=NOW)
    bad = paths.root / "answers.jsonl"
    bad.write_text("{")
    with pytest.raises(DeliveryError, match="line 1: not JSON"):
        import_answers(paths, bad, now=NOW)


def test_answers_are_not_left_where_nobody_reads_them(paths: Paths) -> None:
    file = answer(worklist(paths))
    said = paths.governance_yaml.read_text().replace(
        "sources: []", "sources: [{feed: audit_labels, path: 'labels/{channel}/{date}.csv'}]"
    )
    paths.governance_yaml.write_text(said)
    with pytest.raises(SourceError, match="would never be counted"):
        import_answers(paths, file, now=NOW)
    assert landed(paths) == []


def test_a_dry_plan_writes_nothing(paths: Paths) -> None:
    before = dated_plans(paths.lake)
    dry = plan_audits(paths, 200.0, DAYS[2], is_dry=True)
    assert dry.written is None
    assert dated_plans(paths.lake) == before
    with pytest.raises(InputError, match=f"cannot begin on {DAYS[1]}"):
        plan_audits(paths, 200.0, DAYS[1], is_dry=False)


def test_the_demos_plan_fits_100_columns_and_says_what_stays_unprovable(demo_home: Path) -> None:
    done = run_governance(demo_home, "audit", "plan", "--budget", "600", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "600 labels a day for 24 strategies" in done.stdout
    assert "What stays unprovable at this budget:" in done.stdout
    assert "nothing was put in force" in done.stdout
    rows = run_governance(demo_home, "audit", "plan", "--dry-run", "--json").stdout.splitlines()
    published = run_governance(
        demo_home, "query", "select count(*) as n, sum(labels) as labels from audit_plan", "--json"
    )
    said = [json.loads(row) for row in rows]
    assert json.loads(published.stdout) == {
        "n": len(said), "labels": pytest.approx(sum(row["labels"] for row in said)),
    }  # fmt: skip
    assert said[0]["effective_from"] == "2026-05-30"


CLOSE = ("--finding", "retune", "--actor", "rosa", "--reason", "the rule was too wide")


def test_an_audit_is_closed_from_the_next_day_on_and_only_where_one_is_open(
    demo_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(demo_home / "published", home / "published", symlinks=True)
    spam = "affiliate-spam-creator-block"
    for strategy, extra, said in (
        ("affiliate-spam-creators-block", (), f"did you mean {spam}?"),
        ("prohibited-goods-filter", (), "so no audit of it is open; --anyway"),
        (spam, ("--date", "2026-05-29"), "2026-05-29 is judged and published already"),
        (spam, ("--reason", "bad"), "in at least five letters"),
    ):
        refused = run_governance(home, "audit", "close", strategy, *CLOSE, *extra)
        assert refused.returncode == 1
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert read_interventions(home / "lake").empty
    done = run_governance(home, "audit", "close", spam, *CLOSE)
    assert "monitored anew from 2026-05-30 on" in done.stdout
    assert "next: release the new version" in done.stdout
    made = read_interventions(home / "lake").iloc[0]
    assert (made["strategy_id"], made["finding"], made["actor"]) == (spam, "retune", "rosa")
    assert str(made["effective_on"].date()) == "2026-05-30"
    forced = run_governance(home, "audit", "close", "prohibited-goods-filter", *CLOSE, "--anyway")
    assert forced.returncode == 0
