"""From a seed to a landing folder: five feeds on six channels, and the truth beside."""

import datetime as dt
import gzip
import json
from dataclasses import asdict
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from governance_pipeline.adapters.draws import draw_sql
from governance_pipeline.feeds import FEEDS
from governance_pipeline.progress import say
from governance_pipeline.registry.models import Registry
from governance_pipeline.registry.snapshot import registry_frames
from governance_pipeline.simulation.decisions import simulate_decisions
from governance_pipeline.simulation.market import PLANTS, planted
from governance_pipeline.simulation.people import (
    simulate_appeals,
    simulate_labels,
    simulate_shoppers,
)

CUTS = (0.2, 0.4, 0.6, 0.8)
FORMS = {"affiliate": "csv.gz", "campaigns": "jsonl"}
FORM_OF_FEED = {"audit_labels": "jsonl", "appeals": "csv", "feedback": "csv", "activity": "csv"}


def simulate(
    registry: Registry,
    landing: Path,
    truth: Path,
    *,
    seed: int,
    sampling_key: str,
    start: dt.date,
    days: int,
    extra_days: int = 1,
    scale: float = 1.0,
) -> None:
    """Write a market's deliveries below `landing`, and what is true in it below `truth`.

    The same arguments write the same bytes. Reviewers label what the audit draw draws, so they
    need its key, as the reviewers' worklist of a real market does.

    Args:
        registry: The strategies that decide.
        landing: Gets `<feed>/<channel>/<date>/*`.
        truth: Gets `truth.json` (the plants) and `strategy_days.parquet` (the true rates).
        seed: Another seed is another market with the same plants.
        sampling_key: The home's secret of the audit draw.
        start: First day.
        days: Days of the demo.
        extra_days: Days delivered beyond them.
        scale: Multiplies the number of decisions.
    """
    rng = np.random.default_rng(seed)
    span = days + extra_days
    say(f"simulating {span} days of a market, seed {seed}")
    decisions, rates = simulate_decisions(registry, rng, start, span, scale)
    labels = simulate_labels(_drawn(decisions, registry, sampling_key), registry, rng, start)
    appeals = simulate_appeals(decisions, registry, rng, start)
    feedback, activity = simulate_shoppers(registry, rng, start, span)
    say(f"delivering {len(decisions):,} decisions and {len(labels):,} labels")
    for feed, frame in (
        ("decisions", decisions), ("audit_labels", labels), ("appeals", appeals),
        ("feedback", feedback), ("activity", activity),
    ):  # fmt: skip
        _deliver(feed, frame[frame["day"] < span], landing, start)
    _break_a_few_rows(landing, start)
    _write_truth(truth, rates, start)


def _drawn(decisions: pd.DataFrame, registry: Registry, key: str) -> pd.DataFrame:
    """Return the decisions that the pipeline, or upstream, draws for audit, one a unit.

    An item decided on again is decided alike, so its first decision stands for the unit.
    """
    frames = registry_frames(registry)
    needed = ["strategy_id", "strategy_version", "item_id", "is_fired", "score", "decided_at"]
    units = decisions.loc[~decisions["is_again"], [*needed, "inclusion_probability"]]
    draw = draw_sql("getvariable('sampling_key')", "item_id", "policy", "cast(decided_at as date)")
    score_bin = " + ".join(f"cast(score >= {cut} as integer)" for cut in CUTS)
    with duckdb.connect() as connection:
        connection.register("given", units.reset_index(names="place"))
        connection.register("rates", frames["sampling_rates"])
        connection.register("strategies", frames["strategies"][["strategy_id", "policy"]])
        connection.execute("set variable sampling_key = $key", {"key": key})
        places = connection.execute(
            f"""
            select d.place from (
                select given.*, s.policy,
                    case when score is null or isnan(score) then -1 else {score_bin} end
                        as score_bin
                from given join strategies s on s.strategy_id = given.strategy_id
            ) d left join rates r on r.strategy_id = d.strategy_id
                and r.version = d.strategy_version and r.is_fired = d.is_fired
                and r.score_bin = d.score_bin
            where coalesce(not isnan(inclusion_probability), false) or {draw} < r.rate
            order by d.place
            """
        ).df()["place"]
    return decisions.loc[places].reset_index(drop=True)


def _deliver(feed: str, frame: pd.DataFrame, landing: Path, start: dt.date) -> None:
    """Write a feed by channel and day, each in its form."""
    columns = [name for name in FEEDS[feed].columns if name in frame.columns]
    ordered = frame.sort_values(["channel", "day"], kind="stable", ignore_index=True)
    place = ordered[["channel", "day"]]
    begins = np.flatnonzero((place != place.shift()).any(axis=1))
    rows = ordered[columns]
    table = pa.Table.from_pandas(rows, preserve_index=False)
    bad = planted("bad_delivery")[0]
    for begin, end in zip(begins, [*begins[1:], len(ordered)], strict=True):
        channel, day = place.iloc[begin]
        folder = landing / feed / channel / str(start + dt.timedelta(days=int(day)))
        folder.mkdir(parents=True, exist_ok=True)
        form = FORM_OF_FEED.get(feed) or FORMS.get(channel, "parquet")
        part = table.slice(begin, end - begin)
        if f"{channel}/{feed}" == bad.subject and day == bad.day:
            broken = _broken(rows.iloc[begin:end], bad.size)
            broken.to_csv(folder / f"{feed}.csv", index=False)
        elif form == "jsonl":
            lines = rows.iloc[begin:end].to_json(
                orient="records", lines=True, date_format="iso", date_unit="s"
            )
            (folder / f"{feed}.jsonl").write_text(lines)
        else:
            _write(part, folder / f"{feed}.{form}", form)


def _write(rows: pa.Table, file: Path, form: str) -> None:
    if form == "parquet":
        pq.write_table(rows, file, compression="zstd")
        return
    text = pa.BufferOutputStream()
    pa.csv.write_csv(rows, text, pa.csv.WriteOptions(quoting_style="needed"))
    data = text.getvalue().to_pybytes()
    # No time in the header, or the same market would not have the same bytes.
    file.write_bytes(gzip.compress(data, 1, mtime=0) if form == "csv.gz" else data)


def _broken(rows: pd.DataFrame, share: float) -> pd.DataFrame:
    """Break the first rows of a delivery the way a changed exporter would."""
    broken = rows.astype("object").reset_index(drop=True)
    n = int(len(broken) * share)
    broken.loc[: n // 2, "is_fired"] = ""
    broken.loc[: n // 3, "score"] = "NaN%"
    broken.loc[n // 2 : n - 20, "channel"] = "nowhere"
    broken.loc[n - 19 : n, "decision_id"] = str(broken["decision_id"].iloc[n])
    return broken


def _break_a_few_rows(landing: Path, start: dt.date) -> None:
    """Spoil single rows of good deliveries: the quarantine of a real market is never empty."""
    for feed, channel, day, old, new in (
        ("audit_labels", "video", 20, '"should_fire"', '"yes"'),
        ("audit_labels", "lives", 33, '"channel":"lives"', '"channel":"lives'),
        ("appeals", "shoptab", 41, ",pending,", ",maybe,"),
        ("feedback", "shopads", 12, ",nps,", ",likes,"),
    ):
        folder = landing / feed / channel / str(start + dt.timedelta(days=day))
        for file in sorted(folder.glob("*")):
            file.write_text(file.read_text().replace(old, new, 1))


def _write_truth(truth: Path, rates: pd.DataFrame, start: dt.date) -> None:
    truth.mkdir(parents=True, exist_ok=True)
    plants = [
        {**asdict(plant), "date": str(start + dt.timedelta(days=plant.day))} for plant in PLANTS
    ]
    (truth / "truth.json").write_text(json.dumps(plants, indent=1))
    pq.write_table(
        pa.Table.from_pandas(rates, preserve_index=False), truth / "strategy_days.parquet"
    )
