"""Small worlds: what happened on one channel within a week, and the many ways to deliver it.

A world is drawn by hypothesis. Many lie side by side in one home, each on a channel and in twelve
days of its own, because an intake and a build cost nearly the same for one world and for a hundred.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from governance_pipeline.adapters import refresh
from governance_pipeline.adapters.engines.duckdb import DuckDB
from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.feeds import CHANNELS, FEEDS
from governance_pipeline.paths import Paths

START = dt.date(2026, 1, 1)
BLOCK = 12  # days a world has to itself: three of events, the rest for what comes late
AGAIN = 6  # days from a world's first to those on which an id of it may be used again
LATER = 600  # the same, long after; labels and appeals may come then too
STEPS = 3
BLOCKING, BOOSTING, UNKNOWN = "ad-health-claim-block", "trusted-seller-boost", "nobody-knows-me"
POLICY = "health_claims"
Row = dict[str, Any]


@dataclass(frozen=True)
class Placing:
    """A row in a file of a delivery, from one step on and, if it is taken out again, until one."""

    day: int
    file: int
    first: int
    until: int
    row: Row


@dataclass(frozen=True)
class World:
    """Per feed, what is so in the end by the day it is delivered clean, and how it really came."""

    clean: dict[str, list[tuple[int, Row]]]
    placed: dict[str, list[Placing]]


days = st.integers(0, 2)
steps = st.integers(0, STEPS - 1)
how_late = st.sampled_from([0, 0, 0, LATER])
ways = st.sampled_from(
    ["plain", "plain", "late", "twice", "again_later", "file_corrected", "corrected_later", "moved"]
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw what happened and how it was delivered."""
    clean: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    placed: dict[str, list[Placing]] = defaultdict(list)
    count = draw(st.integers(2, 7))
    for number in range(count):
        _deliver(draw, "decisions", number, _decision(draw, number), clean, placed)
    for number in range(count):
        if draw(st.integers(0, 3)) == 0:  # an id that is used for another decision
            again = _decision(draw, number, draw(st.sampled_from([AGAIN, LATER])))
            _deliver(draw, "decisions", number, again, clean, placed)
    for number in range(draw(st.integers(0, 5))):
        _deliver(draw, "audit_labels", number, _label(draw, number, count), clean, placed)
    for number in range(draw(st.integers(0, 3))):
        _deliver(draw, "appeals", number, _appeal(draw, number, count), clean, placed)
    for number in range(draw(st.integers(0, 2))):
        _deliver(draw, "feedback", number, _feedback(draw, number), clean, placed)
    for number in range(draw(st.integers(0, 2))):
        _deliver(draw, "activity", number, _activity(draw, number), clean, placed)
    return World(dict(clean), dict(placed))


def _deliver(
    draw: st.DrawFn,
    feed: str,
    number: int,
    event: tuple[int, Row, Row],
    clean: dict[str, list[tuple[int, Row]]],
    placed: dict[str, list[Placing]],
) -> None:
    """Note a row as it is, and the placings by which it comes: the last word is always the truth.

    `event` is the day, the row, and changes that make it a wrong one.
    """
    day, row, mistake = event
    wrong = row | mistake
    way, file, step = draw(ways), draw(st.integers(0, 2)), draw(steps)
    late = day + draw(st.integers(1, 3))
    other = draw(steps)
    ever, now = STEPS, Placing
    came = {
        "plain": [now(day, file, step, ever, row)],
        "late": [now(late, file, step, ever, row)],
        "twice": [now(day, 0, step, ever, row), now(day, 1, other, ever, row)],
        "again_later": [now(day, file, step, ever, row), now(late, file, other, ever, row)],
        "file_corrected": [now(day, file, 0, step, wrong), now(day, file, step, ever, row)],
        "corrected_later": [now(day, file, step, ever, wrong), now(late, file, other, ever, row)],
        "moved": [now(late, file, 0, step, wrong), now(day, file, step, ever, row)],
    }[way]
    placed[feed] += came
    # When a label came is part of what it says: it is as late in a clean delivery.
    first = min(p.day for p in came if p.until == ever) if feed == "audit_labels" else day
    clean[feed].append((first, row))
    if draw(st.integers(0, 5)) == 0 and feed != "activity":  # a row that should never have come
        stray = {k: f"{v}-stray" if k == _key(feed) else v for k, v in row.items()}
        where = day if feed == "decisions" else day + draw(st.integers(0, 3))
        placed[feed].append(now(where, draw(st.integers(0, 2)), 0, 1 + other % (STEPS - 1), stray))


def _key(feed: str) -> str:
    return {"decisions": "decision_id", "audit_labels": "label_id", "appeals": "appeal_id",
            "feedback": "feedback_id"}[feed]  # fmt: skip


def _decision(draw: st.DrawFn, number: int, since: int = 0) -> tuple[int, Row, Row]:
    day = since + draw(days)

    def said() -> Row:
        is_fired = draw(st.booleans())
        return {
            "decided_at": (day, draw(st.integers(0, 23))),
            "strategy_id": draw(st.sampled_from([BLOCKING, BLOCKING, BOOSTING, UNKNOWN])),
            "environment": draw(st.sampled_from(["live"] * 4 + ["shadow"])),
            "item_id": f"i{draw(st.integers(0, 1))}",
            "category": draw(st.sampled_from(["hb", "toys", None])),
            "score": draw(st.sampled_from([None, 0.1, 0.2, 0.7, 1.0])),
            "is_fired": is_fired,
            "action": draw(st.sampled_from(["block", "boost", "label"])) if is_fired else "none",
            "reach": draw(st.integers(0, 5)),
            "gmv": draw(st.sampled_from([None, 0.1, 0.2, 7.3])),
        }

    fixed = {
        "decision_id": f"d{number}", "strategy_version": 1, "item_type": "ad",
        "seller_id": "s1", "market": "US", "automated_detection": True,
        "automated_decision": "fully", "experiment_arm": None, "sample_stratum": None,
        "inclusion_probability": None,
    }  # fmt: skip
    return day, fixed | said(), said()


def _label(draw: st.DrawFn, number: int, decisions: int) -> tuple[int, Row, Row]:
    day = draw(st.integers(0, 4)) + draw(how_late)
    verdicts = ["should_fire", "should_not_fire", "unsure", "violating"]
    by_item = draw(st.booleans())
    row = {
        "label_id": f"l{number}",
        "decision_id": None if by_item else f"d{draw(st.integers(0, decisions))}",
        "item_id": f"i{draw(st.integers(0, 1))}" if by_item else None,
        "policy": POLICY if by_item else None,
        "reviewer_id": draw(st.sampled_from(["r1", "r2", None])),
        "labelled_at": (day, draw(st.integers(0, 23))),
        "verdict": draw(st.sampled_from(verdicts)),
        "source": draw(st.sampled_from(["random_audit", "random_audit", "appeal", "report"])),
        "policy_version": "1",
        "golden_verdict": None,
    }
    # What a label said first was bet on, so another delivery may correct anything but that.
    return day, row, {"source": draw(st.sampled_from(["random_audit", "golden", "report"])),
                      "reviewer_id": "r3"}  # fmt: skip


def _appeal(draw: st.DrawFn, number: int, decisions: int) -> tuple[int, Row, Row]:
    day = draw(st.integers(0, 4)) + draw(how_late)
    outcomes = st.sampled_from(["pending", "upheld", "reversed", "partially_reversed"])
    row = {
        "appeal_id": f"a{number}", "decision_id": f"d{draw(st.integers(0, decisions))}",
        "submitted_at": (day, 8), "outcome": draw(outcomes), "decision_made_at": None,
        "decided_at": (day, 9), "ground": "wrong",
    }  # fmt: skip
    return day, row, {"outcome": draw(outcomes), "ground": "other"}


def _feedback(draw: st.DrawFn, number: int) -> tuple[int, Row, Row]:
    day, kinds = draw(days), st.sampled_from([("nps", 9), ("nps", 3), ("csat", 5), ("review", 1)])
    kind, score = draw(kinds)
    other, another = draw(kinds)
    row = {
        "feedback_id": f"f{number}", "submitted_at": (day, 11), "kind": kind, "score": score,
        "theme": "t", "category": "hb", "market": "US", "item_id": "i1", "seller_id": None,
        "decision_id": None,
    }  # fmt: skip
    return day, row, {"kind": other, "score": another, "category": "toys"}


def _activity(draw: st.DrawFn, number: int) -> tuple[int, Row, Row]:
    day, amounts = draw(days), st.integers(0, 1000)
    row = {
        "date": (day, None), "category": ["hb", "toys"][number], "market": "US",
        "experiment_arm": None, "impressions": draw(amounts), "orders": draw(amounts),
        "refunds": 1, "gmv": draw(st.sampled_from([0.1, 0.2, 0.7])),
    }  # fmt: skip
    return day, row, {"impressions": draw(amounts), "gmv": 0.3}


def place_of(number: int) -> tuple[str, dt.date]:
    """Return the channel and the first day of a world."""
    return CHANNELS[number % len(CHANNELS)], START + dt.timedelta(
        days=number // len(CHANNELS) * BLOCK
    )


def days_of(count: int) -> list[dt.date]:
    """Return the delivery dates of the weeks of so many worlds."""
    last = place_of(count - 1)[1] + dt.timedelta(days=BLOCK)
    return [START + dt.timedelta(days=n) for n in range((last - START).days)]


def long_after(days: Sequence[dt.date]) -> list[dt.date]:
    """Return the delivery dates of what is used or spoken of again, long after."""
    return [day + dt.timedelta(days=LATER) for day in days]


def deliver_clean(paths: Paths, made: Sequence[World]) -> None:
    """Deliver every world at once, each row once on its day."""
    for number, world in enumerate(made):
        for feed, rows in world.clean.items():
            by_day: dict[int, list[Row]] = defaultdict(list)
            for day, row in rows:
                by_day[day].append(row)
            for day, own in by_day.items():
                _write(paths, number, feed, day, 0, own)


def deliver_step(paths: Paths, made: Sequence[World], step: int) -> None:
    """Deliver what comes at a step: new files, and files written anew."""
    for number, world in enumerate(made):
        for feed, placings in world.placed.items():
            now: dict[tuple[int, int], list[Row]] = defaultdict(list)
            for placing in placings:
                first, until = _steps_of(placing, number)
                own = now[placing.day, placing.file] if first <= step else []
                if first <= step < until:
                    own.append(placing.row)
            for (day, file), rows in now.items():
                _write(paths, number, feed, day, file, rows)


def _steps_of(placing: Placing, number: int) -> tuple[int, int]:
    """Return from and until which step a row is there.

    Of every other block all that is said long after comes at the last step, at which nothing else
    comes of these days: so only what is said long after has them built again.
    """
    last = STEPS - 1
    if number // len(CHANNELS) % 2 == 0:
        return placing.first, placing.until
    if placing.day >= LATER:
        return last, placing.until
    return min(placing.first, last - 1), placing.until if placing.until > last else last - 1


def _write(paths: Paths, number: int, feed: str, day: int, file: int, rows: list[Row]) -> None:
    channel, start = place_of(number)
    folder = paths.landing / feed / channel / str(start + dt.timedelta(days=day))
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_dated(row, number, channel, start)) + "\n" for row in rows]
    (folder / f"{file}.jsonl").write_text("".join(lines))


def _dated(row: Row, number: int, channel: str, start: dt.date) -> Row:
    """Return a row as this world's own: its times as dates, its ids nobody else's."""
    own: Row = {"channel": channel}
    for name, value in row.items():
        if isinstance(value, tuple):
            date, hour = start + dt.timedelta(days=value[0]), value[1]
            own[name] = str(date) if hour is None else f"{date}T{hour:02d}:00:00Z"
        elif name.endswith("_id") and name not in ("strategy_id", "reviewer_id") and value:
            own[name] = f"w{number}-{value}"
        else:
            own[name] = value
    return own


def make_market(root: Path, last: dt.date) -> Paths:
    """Make a home whose two strategies are on every channel and draw six of ten, whatever is so.

    A draw keeps the probability it was made with, so only where all are alike does a corrected
    decision draw as if it had come right at once.
    """
    paths = Paths(root)
    make_home(paths, START, last, sampling_key="key", example=True)
    for file in (paths.registry / "strategies").glob("*.yaml"):
        if file.stem not in (BLOCKING, BOOSTING):
            file.unlink()
            continue
        said = yaml.safe_load(file.read_text())
        said |= {"channels": list(CHANNELS), "policy": POLICY}
        for version in said["versions"]:
            version |= {"effective_from": dt.date(2025, 6, 1), "number": version["number"]}
            version["sampling"] = {"fired": 0.6, "not_fired": 0.6}
        said["versions"] = said["versions"][:1]
        file.write_text(yaml.safe_dump(said))
    apply_registry(paths.registry, paths.lake, last)
    return paths


def take_in(paths: Paths, *ranges: Sequence[dt.date]) -> None:
    """Take in what was delivered, range by range, and build the marts of the days it touched."""
    for days in ranges:
        for feed in FEEDS:
            intake_range(feed, CHANNELS, days, paths=paths, sources=[], run_id="r")
    plan = refresh.plan_refresh(paths)
    if not plan.is_empty:
        DuckDB("1GB", 2).build(paths, plan)
        refresh.remember(paths, plan)
