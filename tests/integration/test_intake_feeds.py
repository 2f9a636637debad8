"""Labels, appeals, feedback and activity: what they touch, and what waits."""

import datetime as dt
from pathlib import Path

import pytest

from governance_pipeline.adapters import manifests
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    as_csv,
    as_jsonl,
    decision,
    deliver,
    label,
    make_home,
    only,
    rows_in,
    take_in,
    write_registry,
)

LABEL_DAY = DAY + dt.timedelta(days=1)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = make_home(tmp_path / "home")
    write_registry(made.lake, rate=1.0)
    return made


def test_labels_touch_the_days_of_their_decisions_and_others_wait(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    take_in(paths)
    by_item = label(4, decision_id=None, item_id="i4", policy="health_claims")
    deliver(paths, "a.jsonl", as_jsonl([label(1), label(77), by_item]), LABEL_DAY, "audit_labels")
    made = only(take_in(paths, [LABEL_DAY], "audit_labels"))
    assert (made.rows_accepted, made.pending_rows) == (3, 1)
    assert made.decision_days == [DAY]
    assert rows_in(paths, "audit_labels", "label_id, delivery_date") == [
        ("l1", LABEL_DAY), ("l4", LABEL_DAY), ("l77", LABEL_DAY),
    ]  # fmt: skip


def test_a_label_is_matched_however_old_its_decision_is(paths: Paths) -> None:
    later = DAY + dt.timedelta(days=75)
    deliver(paths, "a.csv", as_csv([decision(1), decision(2)]))
    anew = decision(3, decided_at=f"{later}T10:00:00Z", item_id="i2")
    used_again = decision(1, decided_at=f"{later}T10:00:00Z", item_id="i9")
    deliver(paths, "a.csv", as_csv([anew]), later)
    take_in(paths, [DAY, later])
    given = later + dt.timedelta(days=1)
    old, new, both = (
        label(1, labelled_at=f"{given}T08:00:00Z"),
        label(3, labelled_at=f"{given}T08:00:00Z"),
        label(2, labelled_at=f"{given}T08:00:00Z", decision_id=None, item_id="i2",
              policy="health_claims"),
    )  # fmt: skip
    for days, rows, waiting in (
        ([DAY], [old], 0), ([later], [new], 0), ([DAY, later], [both], 0), ([], [label(9)], 1),
    ):  # fmt: skip
        deliver(paths, "a.jsonl", as_jsonl(rows), given, "audit_labels")
        made = only(take_in(paths, [given], "audit_labels"))
        assert set(days) <= set(made.decision_days)
        assert made.pending_rows == waiting
        (paths.lake / "manifests" / "audit_labels" / "shopads" / f"{given}.json").unlink()
        assert made.decision_days == days
    deliver(paths, "a.csv", as_csv([anew, used_again]), later)
    take_in(paths, [later])
    for file in paths.lake.glob("known_ids/*/*/*.npy"):
        file.write_bytes(b"")  # what is known can be made again
    deliver(paths, "a.jsonl", as_jsonl([old]), given, "audit_labels")
    assert only(take_in(paths, [given], "audit_labels")).decision_days == [DAY, later]
    # What is known of a month is of its deliveries as they are now.
    deliver(paths, "a.csv", as_csv([decision(2)]))
    take_in(paths)
    (paths.lake / "manifests" / "audit_labels" / "shopads" / f"{given}.json").unlink()
    assert only(take_in(paths, [given], "audit_labels")).decision_days == [later]


def test_appeals_touch_the_days_of_fired_decisions(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    take_in(paths)
    appeal = {
        "appeal_id": "a1", "decision_id": "d2", "decision_made_at": None, "channel": "shopads",
        "submitted_at": f"{LABEL_DAY}T08:00:00Z", "decided_at": None, "outcome": "pending",
        "ground": "wrong",
    }  # fmt: skip
    unfired = appeal | {"appeal_id": "a2", "decision_id": "d1"}
    deliver(paths, "a.csv", as_csv([appeal, unfired]), LABEL_DAY, "appeals")
    made = only(take_in(paths, [LABEL_DAY], "appeals"))
    assert (made.decision_days, made.pending_rows) == ([DAY], 1)


def test_feedback_is_judged_by_the_scale_of_its_kind(paths: Paths) -> None:
    rows = [
        {"feedback_id": f"f{n}", "channel": "shopads", "submitted_at": f"{DAY}T08:00:00Z",
         "kind": kind, "score": score, "theme": "t", "category": "hb", "market": "US",
         "item_id": None, "seller_id": None, "decision_id": None}
        for n, (kind, score) in enumerate(
            [("nps", 10), ("nps", 0), ("csat", 5), ("review", 1), ("complaint", None)] * 3
            + [("review", 9), ("nps", 11)]
        )
    ]  # fmt: skip
    deliver(paths, "a.csv", as_csv(rows), feed="feedback")
    made = only(take_in(paths, feed="feedback"))
    assert (made.rows_accepted, made.rows_quarantined) == (15, 2)
    assert made.decision_days == [DAY]
    assert rows_in(paths, "feedback", "rule", "quarantine") == [
        ("nps_is_between_0_and_10",), ("rating_is_between_1_and_5",),
    ]  # fmt: skip


def test_activity_is_counted_once_even_where_its_key_has_nulls(paths: Paths) -> None:
    rows = [
        {"channel": "shopads", "date": str(DAY), "category": category, "market": market,
         "experiment_arm": None, "impressions": 100, "orders": 3, "refunds": 0, "gmv": 9.5}
        for category in ("hb", "bt") for market in ("US", "UK", "DE")
    ]  # fmt: skip
    deliver(paths, "a.csv", as_csv([*rows, rows[0]]), feed="activity")
    made = only(take_in(paths, feed="activity"))
    assert (made.rows_accepted, made.rows_quarantined) == (6, 1)
    assert rows_in(paths, "activity", "sum(impressions)::int") == [(600,)]


def test_days_spoken_of_by_two_deliveries_are_contested(paths: Paths) -> None:
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(11, 21)]), LABEL_DAY)
    take_in(paths, [DAY, LABEL_DAY])
    found = manifests.read_all(paths.lake)
    assert [m.delivery_date for m in manifests.contested(found, {DAY})] == [DAY, LABEL_DAY]
    assert manifests.contested(found, {LABEL_DAY}) == []
    assert len(manifests.files_of(paths.lake, found, "sampled_decisions", {DAY})) == 2
    assert manifests.files_of(paths.lake, found, "counted_decisions", {LABEL_DAY}) == []


def test_a_label_taken_out_again_touches_the_day_of_a_decision_that_came_after_it(
    paths: Paths,
) -> None:
    deliver(paths, "a.jsonl", as_jsonl([label(1), label(2)]), LABEL_DAY, "audit_labels")
    assert only(take_in(paths, [LABEL_DAY], "audit_labels")).decision_days == []
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    take_in(paths)
    deliver(paths, "a.jsonl", as_jsonl([label(77)]), LABEL_DAY, "audit_labels")
    made = only(take_in(paths, [LABEL_DAY], "audit_labels"))
    assert (made.decision_days, made.pending_rows) == ([DAY], 1)


def test_labels_taken_out_to_the_last_touch_the_day_of_a_decision_that_came_after_them(
    paths: Paths,
) -> None:
    deliver(paths, "a.jsonl", as_jsonl([label(1)]), LABEL_DAY, "audit_labels")
    take_in(paths, [LABEL_DAY], "audit_labels")
    deliver(paths, "a.csv", as_csv([decision(n) for n in range(1, 11)]))
    take_in(paths)
    deliver(paths, "a.jsonl", b"", LABEL_DAY, "audit_labels")
    made = only(take_in(paths, [LABEL_DAY], "audit_labels"))
    assert (made.state, made.decision_days) == ("empty", [DAY])
