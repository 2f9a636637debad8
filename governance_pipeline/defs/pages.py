"""What a strategy's page says: its three checks in words and numbers, from the verdict tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd

from governance_pipeline.adapters.charts import history_chart
from governance_pipeline.domain.harm import MEASURES
from governance_pipeline.domain.judgement import Judgement
from governance_pipeline.domain.status import STATUSES

METRICS = ("precision", "recall")
OBSERVED = [f"{metric}{suffix}" for metric in METRICS for suffix in ("", "_lo", "_hi", "_e_value")]
DAILY = ["strategy_id", "date", "labelled", *OBSERVED]
SEVERITY = {
    "needs_audit": dg.AssetCheckSeverity.ERROR,
    "watch": dg.AssetCheckSeverity.WARN,
    "insufficient_evidence": dg.AssetCheckSeverity.WARN,
    "immature": dg.AssetCheckSeverity.WARN,
}
SHOWN_DIGITS = 4
CHART_DAYS = 365
PASSING = ("healthy", "not_monitored")
LACKING = ("insufficient_evidence", "immature")


@dataclass(frozen=True)
class Verdict:
    """One check of one strategy; `said` changes only when people should look again."""

    passed: bool
    severity: dg.AssetCheckSeverity
    said: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A strategy's verdicts and its numbers by day, channel `all` or its only one."""

    verdicts: Mapping[str, Verdict]
    days: pd.DataFrame
    goals: Mapping[str, float]

    def chart(self) -> str:
        """Return the last year as a picture in markdown."""
        days = self.days.tail(CHART_DAYS)
        parts = [
            pd.DataFrame(
                {
                    "date": days["date"],
                    "metric": metric,
                    "estimate": days[metric],
                    "lo": days[f"{metric}_lo"],
                    "hi": days[f"{metric}_hi"],
                    "e_value": days[f"{metric}_e_value"],
                }
            ).round(dict.fromkeys(("estimate", "lo", "hi", "e_value"), SHOWN_DIGITS))
            for metric in METRICS
        ]
        return history_chart(pd.concat(parts), self.goals)


def verdict_pages(verdicts: Judgement) -> dict[str, Page]:
    """Return the page of every strategy that was judged, by its id."""
    numbers = _numbers(verdicts)
    own = numbers.groupby("strategy_id")
    newest = _by_strategy(numbers[numbers["date"] == own["date"].transform("max")])
    is_one_of_several = own["channel"].transform("nunique") > 1
    shown = numbers.loc[~is_one_of_several | (numbers["channel"] == "all"), DAILY]
    days = dict(list(shown.sort_values("date").groupby("strategy_id")))
    goals = own[[f"{metric}_goal" for metric in METRICS]].last().to_dict("index")
    harm = verdicts.harm[verdicts.harm["channel"] == "all"].set_index("strategy_id")
    pages = {}
    for strategy_id, rows in sorted(_by_strategy(verdicts.status).items()):
        judged = newest.get(strategy_id, [])
        harmed = _harmed(harm, strategy_id)
        pages[strategy_id] = Page(
            verdicts={
                **{metric: _metric_verdict(metric, rows, judged, harmed) for metric in METRICS},
                "labels": _labels_verdict(rows),
            },
            days=days.get(strategy_id, shown.iloc[:0]),
            goals=_goals(goals.get(strategy_id, {})),
        )
    return pages


def _by_strategy(frame: pd.DataFrame) -> dict[str, list[dict[Any, Any]]]:
    """Return a frame's rows by strategy, in their order; one frame each costs ten times."""
    found: dict[str, list[dict[Any, Any]]] = {}
    for row in frame.to_dict("records"):
        found.setdefault(str(row["strategy_id"]), []).append(row)
    return found


def observed(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return one day's numbers under the stable keys that the catalog plots over time."""
    shown: dict[str, Any] = {}
    for name in OBSERVED:
        value = row.get(name)
        if value is not None and not pd.isna(value):
            shown[name] = _rounded(value)
    if not pd.isna(row["labelled"]):
        shown["labelled"] = int(row["labelled"])
    return shown


def _numbers(verdicts: Judgement) -> pd.DataFrame:
    """Return a row per strategy, channel and day: estimates beside e-values."""
    accuracy = verdicts.accuracy
    # A version in shadow beside the live one has no evidence, and no place on the page.
    judged = verdicts.drift[["strategy_id", "environment"]].drop_duplicates()
    recent = accuracy[accuracy["window_kind"] == "28d"].merge(judged)
    recent = recent.rename(columns={"window_end": "date"})
    goals = verdicts.drift[verdicts.drift["mode"] == "goal"]
    evidence = goals.pivot_table(
        index=["strategy_id", "channel", "date"],
        columns="metric",
        values=["e_value", "goal", "tolerance"],
        aggfunc="last",
    )
    evidence.columns = pd.Index([f"{pair[1]}_{pair[0]}" for pair in evidence.columns.to_list()])
    numbers = recent.merge(
        evidence.reset_index(), on=["strategy_id", "channel", "date"], how="left"
    )
    wanted = [f"{m}_{n}" for m in METRICS for n in ("e_value", "goal", "tolerance")]
    return numbers.assign(**{name: float("nan") for name in wanted if name not in numbers})


def _harmed(harm: pd.DataFrame, strategy_id: str) -> dict[str, Any]:
    """Return what a strategy did wrongly in its last 28 cohorts, as far as it can be told."""
    if strategy_id not in harm.index:
        return {}
    row = harm.loc[strategy_id]
    shown = {f"harm/{name}": row[f"{name}_est"] for name in MEASURES}
    return {name: _rounded(value) for name, value in shown.items() if not pd.isna(value)}


def _metric_verdict(
    metric: str,
    status: Sequence[Mapping[Any, Any]],
    newest: Sequence[Mapping[Any, Any]],
    harm: Mapping[str, Any],
) -> Verdict:
    worst = min(
        status,
        key=lambda row: (STATUSES.index(str(row[f"{metric}_status"])), row["channel"] != "all"),
    )
    said = str(worst[f"{metric}_status"])
    metadata: dict[str, Any] = {"status": said, "channel": str(worst["channel"])}
    is_only = len(newest) == 1  # a strategy's only channel is the whole strategy
    for row in newest:
        is_worst = is_only or row["channel"] == worst["channel"]
        name = metric if is_worst else f"{metric}/{row['channel']}"
        metadata |= _numbers_shown(name, metric, row)
    metadata["decided"] = str(pd.Timestamp(worst["date"]).date())
    if worst["metric"] == metric:
        since = worst["since"]
        metadata |= {
            "reason": str(worst["reason"]),
            "next_action": str(worst["next_action"]),
            "since": "" if pd.isna(since) else str(pd.Timestamp(since).date()),
            "labels_needed": int(worst["labels_needed"]),
        }
        if not pd.isna(worst["suspected_cause"]):
            metadata["suspected_cause"] = str(worst["suspected_cause"])
            metadata["cause_evidence"] = str(worst["cause_evidence"])
            metadata["is_recovered"] = bool(worst["is_recovered"])
            metadata |= harm
    return Verdict(said in PASSING, SEVERITY.get(said, dg.AssetCheckSeverity.WARN), said, metadata)


def _numbers_shown(name: str, metric: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {
        name: row[metric],
        f"{name}_lo": row[f"{metric}_lo"],
        f"{name}_hi": row[f"{metric}_hi"],
        f"{name}_e_value": row[f"{metric}_e_value"],
        f"{name}_goal": row[f"{metric}_goal"],
        f"{name}_tolerance": row[f"{metric}_tolerance"],
        f"{name}_labelled": row["labelled"],
    }
    return {key: _rounded(value) for key, value in shown.items() if not pd.isna(value)}


def _rounded(value: Any) -> float:
    """Return a number in the digits that people read; e-values span too much for fixed decimals."""
    return float(f"{float(value):.{SHOWN_DIGITS}g}")


def _labels_verdict(status: Sequence[Mapping[Any, Any]]) -> Verdict:
    lacking = [row for row in status if row["status"] in LACKING]
    row = (lacking or status)[0]
    said = str(row["status"]) if lacking else "enough"
    decidable = row["decidable_on"]
    return Verdict(
        passed=not lacking,
        severity=dg.AssetCheckSeverity.WARN,
        said=said,
        metadata={
            "status": said,
            "channel": str(row["channel"]),
            "reason": str(row["reason"]) if lacking else "enough labels came back",
            "labels_needed": int(row["labels_needed"]),
            "decidable_on": "never at today's rate"
            if pd.isna(decidable)
            else str(pd.Timestamp(decidable).date()),
        },
    )


def _goals(newest: Mapping[Any, Any]) -> dict[str, float]:
    found = {metric: newest.get(f"{metric}_goal") for metric in METRICS}
    return {metric: float(goal) for metric, goal in found.items() if not pd.isna(goal)}
