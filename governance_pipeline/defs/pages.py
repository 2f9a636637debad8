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
            ).round(SHOWN_DIGITS)
            for metric in METRICS
        ]
        return history_chart(pd.concat(parts), self.goals)


def verdict_pages(verdicts: Judgement) -> dict[str, Page]:
    """Return the page of every strategy that was judged, by its id."""
    numbers = _numbers(verdicts)
    by_strategy = dict(list(numbers.groupby("strategy_id")))
    pages = {}
    harm = verdicts.harm[verdicts.harm["channel"] == "all"].set_index("strategy_id")
    for strategy_id, status in verdicts.status.groupby("strategy_id", sort=True):
        own = by_strategy.get(strategy_id, numbers.iloc[:0])
        wide = own["channel"].nunique() > 1
        days = own[own["channel"] == "all"] if wide else own
        rows = status.to_dict("records")
        newest = own[own["date"] == own["date"].max()].to_dict("records")
        pages[str(strategy_id)] = Page(
            verdicts={
                **{
                    metric: _metric_verdict(metric, rows, newest, _harmed(harm, str(strategy_id)))
                    for metric in METRICS
                },
                "labels": _labels_verdict(status),
            },
            days=days.sort_values("date"),
            goals=_goals(own),
        )
    return pages


def observed(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return one day's numbers under the stable keys that the catalog plots over time."""
    shown: dict[str, Any] = {}
    for metric in METRICS:
        for suffix in ("", "_lo", "_hi", "_e_value"):
            value = row.get(f"{metric}{suffix}")
            if value is not None and not pd.isna(value):
                shown[f"{metric}{suffix}"] = _rounded(value)
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


def _labels_verdict(status: pd.DataFrame) -> Verdict:
    lacking = status[status["status"].isin(LACKING)]
    row = (lacking if len(lacking) else status).iloc[0]
    said = str(row["status"]) if len(lacking) else "enough"
    decidable = row["decidable_on"]
    return Verdict(
        passed=lacking.empty,
        severity=dg.AssetCheckSeverity.WARN,
        said=said,
        metadata={
            "status": said,
            "channel": str(row["channel"]),
            "reason": str(row["reason"]) if len(lacking) else "enough labels came back",
            "labels_needed": int(row["labels_needed"]),
            "decidable_on": "never at today's rate"
            if pd.isna(decidable)
            else str(pd.Timestamp(decidable).date()),
        },
    )


def _goals(numbers: pd.DataFrame) -> dict[str, float]:
    found = {metric: numbers[f"{metric}_goal"].dropna() for metric in METRICS}
    return {metric: float(goal.iloc[-1]) for metric, goal in found.items() if len(goal)}
