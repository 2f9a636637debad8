"""The audit frame and its labels as arrays: who is judged, on which days, in which cells."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from governance_pipeline.domain.intervals import Booleans, Integers
from governance_pipeline.domain.tallies import check_probabilities
from governance_pipeline.errors import InputError

ENVIRONMENT = {"live": "live", "ramp": "live", "shadow": "shadow"}
SUBJECT = ["strategy_id", "environment"]
VERDICTS = ("should_fire", "should_not_fire", "unsure")
# Cells of the bet: fired and not, each with a bin for "no score" and 20 fine score bins.
BINS = 21
CELLS = 2 * BINS


@dataclass(frozen=True)
class Panel:
    """Everything judged, coded: `lane` is a strategy on a channel, `day` counts from `first`.

    `lanes` has strategy_id, channel and the code of the strategy; `version` is the version in
    force, shape (days, strategies), -1 before the first. `frame` and `draws` are the given tables
    in the version in force, with day, lane, cell and (draws) known, the day a label was known.
    """

    first: dt.date
    days: int
    strategies: pd.DataFrame
    lanes: pd.DataFrame
    version: Integers
    frame: pd.DataFrame
    draws: pd.DataFrame

    def dates(self) -> pd.DatetimeIndex:
        """Return the days of the panel."""
        return pd.date_range(self.first, periods=self.days, freq="D")

    def rows_of(self, lanes: Booleans) -> Panel:
        """Return the same panel with the rows of some lanes alone; `lanes` is (lanes,)."""
        frame = self.frame[lanes[self.frame["lane"].to_numpy()]]
        return replace(self, frame=frame, draws=self.draws[lanes[self.draws["lane"].to_numpy()]])

    def lane_version(self) -> Integers:
        """Return the version in force of each lane, shape (days, lanes)."""
        return self.version[:, self.lanes["strategy"].to_numpy()]


@dataclass(frozen=True)
class Pools:
    """Groups of lanes that are judged as one; a lane is in at most one `own` and one `whole` pool.

    `table` has strategy_id, channel and strategy code, one row per pool; `own` and `whole` give a
    lane's pools, -1 for none.
    """

    table: pd.DataFrame
    own: Integers
    whole: Integers

    def __len__(self) -> int:
        return len(self.table)

    def only(self, keep: Integers) -> Pools:
        """Return these pools alone, numbered in the order given; `keep` holds their codes."""
        code = np.full(len(self) + 1, -1, dtype=np.int64)
        code[keep] = np.arange(len(keep))
        table = self.table.iloc[keep].reset_index(drop=True)
        return Pools(table, code[self.own], code[self.whole])

    def expand(self, lane: Integers) -> tuple[Integers, Integers]:
        """Return the positions in `lane` and their pools, a position once for each of its pools."""
        parts = [(np.flatnonzero(of[lane] >= 0), of) for of in (self.own, self.whole)]
        return (
            np.concatenate([rows for rows, _ in parts]),
            np.concatenate([of[lane[rows]] for rows, of in parts]),
        )


def first_day(frame: pd.DataFrame, as_of: dt.date) -> dt.date:
    """Return the first decision day of a frame, `as_of` if it has none."""
    return pd.to_datetime(frame["decision_date"]).min().date() if len(frame) else as_of


def build_panel(
    frame: pd.DataFrame,
    draws: pd.DataFrame,
    strategies: pd.DataFrame,
    as_of: dt.date,
    first: dt.date,
) -> Panel:
    """Code the frame and the labels of the strategies that are live, ramping or in shadow.

    On a day with two versions the one with the larger population is judged.

    Args:
        frame: `int_audit_frame`.
        draws: `int_audit_draws`.
        strategies: Registry table; its lifecycle decides which environment is judged.
        as_of: Last day; what became known later is left out.
        first: First day, not after the frame's.

    Raises:
        InputError: If a probability or a verdict is out of its range, or a label has no cell.
    """
    judged = _subjects(strategies, frame)
    code = pd.Series(judged.index, index=pd.MultiIndex.from_frame(judged[SUBJECT]))
    rows = _coded(frame, code, as_of)
    rows["gmv"] = rows["gmv"].astype(float) if "gmv" in rows else np.nan
    days = (as_of - first).days + 1
    rows["day"] = (rows["decision_date"] - pd.Timestamp(first)).dt.days
    version = _versions(rows, days, len(judged))
    rows = rows[rows["version"].to_numpy() == version[rows["day"], rows["strategy"]]]
    lanes = rows[["strategy_id", "channel", "strategy"]].drop_duplicates()
    lanes = lanes.astype({"strategy_id": "str", "channel": "str"})
    lanes = lanes.sort_values(["strategy", "channel"]).reset_index(drop=True)
    rows = _laned(rows, lanes)
    # Sums of fractions depend on the order of their terms, and a query gives its rows in any.
    order = ["day", "lane", "cell", "stratum"]
    rows = _fill_design(rows).sort_values(order, kind="stable").reset_index(drop=True)
    labels = _labels(_coded(draws, code, as_of), lanes, version, first, days)
    _match_cells(rows, labels)
    return Panel(first, days, judged, lanes, version, rows, labels)


def _subjects(strategies: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return who is judged: each strategy where its lifecycle says, and beside it where else it
    decides, as a new version in shadow does while the old one is live; only the first has a status.
    """
    judged = strategies.loc[strategies["lifecycle"].isin(list(ENVIRONMENT))]
    judged = judged.assign(environment=judged["lifecycle"].map(ENVIRONMENT), is_primary=True)
    seen = frame[SUBJECT].drop_duplicates()
    both = seen.merge(judged.drop(columns=["environment", "is_primary"]), on="strategy_id")
    primary = pd.MultiIndex.from_frame(judged[SUBJECT])
    beside = both[~pd.MultiIndex.from_frame(both[SUBJECT]).isin(primary)]
    subjects = pd.concat([judged, beside.assign(is_primary=False)], ignore_index=True)
    order = ["strategy_id", "is_primary"]
    return subjects.sort_values(order, ascending=[True, False], ignore_index=True)


def _coded(table: pd.DataFrame, code: pd.Series, as_of: dt.date) -> pd.DataFrame:
    # Every later step takes rows out of these tables, and texts are slow to take.
    texts = {name for name, kind in table.dtypes.items() if kind == "str"} - {"decision_id"}
    table = table.astype(dict.fromkeys(texts, "category")).assign(
        decision_date=pd.to_datetime(table["decision_date"]),
        strategy=code.reindex(pd.MultiIndex.from_frame(table[SUBJECT])).to_numpy(),
    )
    is_judged = table["strategy"].notna() & (table["decision_date"] <= pd.Timestamp(as_of))
    return table[is_judged].astype({"strategy": np.int64})


def _versions(rows: pd.DataFrame, days: int, strategies: int) -> Integers:
    size = rows.groupby(["strategy", "day", "version"])["population"].sum().reset_index()
    size = size.sort_values(by=["population", "version"])
    size = size.drop_duplicates(["strategy", "day"], keep="last")
    version = np.full((days, strategies), -1, dtype=np.int64)
    version[size["day"], size["strategy"]] = size["version"]
    day = np.where(version >= 0, np.arange(days)[:, None], 0)
    latest = np.maximum.accumulate(day, axis=0)
    return version[latest, np.arange(strategies)]


def _laned(rows: pd.DataFrame, lanes: pd.DataFrame) -> pd.DataFrame:
    """Add the lane and the cell; a fine bin of -1 (no score) is the first of its side."""
    lane = pd.Series(lanes.index, index=pd.MultiIndex.from_frame(lanes[["strategy", "channel"]]))
    keys = pd.MultiIndex.from_frame(rows[["strategy", "channel"]])
    rows = rows.assign(lane=lane.reindex(keys).to_numpy())
    side = np.where(rows["is_fired"].to_numpy(dtype=bool), 0, BINS)
    rows["cell"] = side + rows["fine_bin"].fillna(-1).to_numpy(dtype=np.int64) + 1
    return rows


def _fill_design(rows: pd.DataFrame) -> pd.DataFrame:
    """Give a cell without a draw the probabilities of its stratum's day.

    Upstream's probabilities are known from drawn rows only, and its design is by stratum, not by
    fine bin. Where the pipeline draws, a stratum is undrawable as a whole, and nothing changes.
    """
    for column in ("population", "reach", "expected_draws", "min_probability", "drawn"):
        rows[column] = rows[column].astype(float)
    # What cannot be drawn has no probability, even if it is written as 0.
    rows.loc[~(rows["min_probability"] > 0), ["min_probability", "expected_draws"]] = np.nan
    is_open = rows["min_probability"].isna() & (rows["population"] > 0)
    stratum = rows.groupby(["lane", "day", "is_fired", "stratum"])
    if is_open.any():
        drawable = rows["population"].where(~is_open)
        rate = stratum["expected_draws"].transform("sum") / drawable.groupby(
            [rows["lane"], rows["day"], rows["is_fired"], rows["stratum"]]
        ).transform("sum")
        least = stratum["min_probability"].transform("min")
        rows.loc[is_open, "expected_draws"] = (rate * rows["population"])[is_open]
        rows.loc[is_open, "min_probability"] = least[is_open]
    check_probabilities(rows["min_probability"].dropna().to_numpy())
    rows["expected_draws"] = rows["expected_draws"].fillna(0.0)
    rows["reach"] = rows["reach"].fillna(0.0)
    rows["drawn"] = rows["drawn"].fillna(0.0)
    return rows


def _labels(
    rows: pd.DataFrame, lanes: pd.DataFrame, version: Integers, first: dt.date, days: int
) -> pd.DataFrame:
    start = pd.Timestamp(first)
    rows["day"] = (rows["decision_date"] - start).dt.days
    rows["known"] = (pd.to_datetime(rows["known_on"]) - start).dt.days
    rows = rows[(rows["day"] >= 0) & (rows["known"] < days)]
    rows = rows[rows["version"].to_numpy() == version[rows["day"], rows["strategy"]]]
    rows = _laned(rows, lanes)
    # A strategy-channel without a frame row has nothing to be judged against.
    rows = rows[rows["lane"].notna()].copy()
    rows["lane"] = rows["lane"].astype(np.int64)
    for column in ("verdict", "verdict_first"):
        unknown = ~rows[column].isin(VERDICTS)
        if unknown.any():
            raise InputError(
                f"{column} must be one of {VERDICTS}, got {rows[column][unknown].iloc[0]}"
            )
    check_probabilities(rows["inclusion_probability"].to_numpy(dtype=float))
    rows["known"] = np.maximum(rows["known"], rows["day"])
    rows["reach"] = rows["reach"].fillna(0.0).astype(float)
    # Ids by themselves first: pandas sorts one column of texts far faster than among others.
    rows = rows.sort_values("decision_id", kind="stable")
    order = np.lexsort([rows[name].to_numpy() for name in ("cell", "lane", "day")])
    return rows.iloc[order].reset_index(drop=True)


def _match_cells(frame: pd.DataFrame, labels: pd.DataFrame) -> None:
    keys = ["day", "lane", "cell", "stratum"]
    known = pd.MultiIndex.from_frame(frame[keys])
    is_lost = ~pd.MultiIndex.from_frame(labels[keys]).isin(known)
    if is_lost.any():
        lost = labels[is_lost].iloc[0]
        raise InputError(
            f"decision {lost['decision_id']} of {lost['strategy_id']} on {lost['channel']} is "
            f"labelled, but the audit frame of {lost['decision_date']:%Y-%m-%d} has no unit in "
            f"{lost['stratum']}, bin {lost['fine_bin']}"
        )


def accuracy_pools(panel: Panel) -> Pools:
    """Return a pool for every lane, and `all` for a strategy on several channels."""
    lanes = panel.lanes
    own = np.arange(len(lanes), dtype=np.int64)
    whole, extra = _whole_pools(lanes, len(lanes))
    return Pools(pd.concat([lanes, extra], ignore_index=True), own, whole)


def _whole_pools(lanes: pd.DataFrame, offset: int) -> tuple[Integers, pd.DataFrame]:
    strategy = lanes["strategy"].to_numpy()
    codes, counts = np.unique(strategy, return_counts=True)
    multi = codes[counts > 1]
    pool = pd.Series(np.arange(len(multi)) + offset, index=multi)
    whole = pool.reindex(strategy).fillna(-1).to_numpy(dtype=np.int64)
    extra = lanes.drop_duplicates("strategy").set_index("strategy").loc[multi].reset_index()
    return whole, extra.assign(channel="all")[["strategy_id", "channel", "strategy"]]


MIN_DAILY_LABELS = 10.0
VOLUME_DAYS = 14
REST = "rest"


def drift_pools(panel: Panel) -> Pools:
    """Return what is bet on: channels with at least 10 expected labels a day, the rest, and all.

    Only what has a status is bet on. Expected labels are the mean of a lane's first 14 days.
    Several small channels of a strategy are one pool `rest`; where no channel is large, `all` is
    that pool.
    """
    is_primary = panel.strategies["is_primary"].to_numpy(dtype=bool)
    lanes = panel.lanes
    has_status = is_primary[lanes["strategy"]]
    daily = panel.frame.groupby(["lane", "day"])["expected_draws"].sum().reset_index()
    start = daily.groupby("lane")["day"].transform("min")
    early = daily[daily["day"] < start + VOLUME_DAYS].groupby("lane")["expected_draws"].mean()
    is_large = early.reindex(lanes.index).fillna(0.0).to_numpy() >= MIN_DAILY_LABELS
    strategy = lanes["strategy"]
    channels = strategy.map(strategy.value_counts()).to_numpy()
    small = strategy.map(strategy[~is_large].value_counts()).fillna(0).to_numpy()
    is_alone = is_large | (channels == 1) | ((small == 1) & (channels > 1))
    is_rest = ~is_alone & (small < channels)
    label = lanes["channel"].where(~pd.Series(is_rest), REST)
    has_own = (is_alone | is_rest) & has_status
    table = lanes.assign(channel=label)[has_own].drop_duplicates(["strategy", "channel"])
    table = table.reset_index(drop=True)
    pool = pd.Series(table.index, index=pd.MultiIndex.from_frame(table[["strategy", "channel"]]))
    keys = pd.MultiIndex.from_arrays([strategy, label])
    own = pool.reindex(keys).fillna(-1).to_numpy()
    own = np.where(has_own, own, -1).astype(np.int64)
    judged = lanes[has_status]
    part, extra = _whole_pools(judged, len(table))
    whole = np.full(len(lanes), -1, dtype=np.int64)
    whole[judged.index] = part
    return Pools(pd.concat([table, extra], ignore_index=True), own, whole)
