"""From a panel of lanes to the designs and labels of the pools that are bet on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from governance_pipeline.domain.betting import Design, Labels
from governance_pipeline.domain.panel import Panel, Pools

ALIKE = ["day", "known", "pool", "cell", "probability", "is_event"]


def pool_design(panel: Panel, pools: Pools) -> Design:
    """Return what could be drawn of each pool, a row per frame row and pool, sorted by day."""
    rows, pool = pools.expand(panel.frame["lane"].to_numpy())
    day = panel.frame["day"].to_numpy()[rows]
    order = np.argsort(day, kind="stable")
    rows, pool = rows[order], pool[order]
    table = panel.frame
    return Design(
        day=day[order],
        pool=pool,
        cell=table["cell"].to_numpy()[rows],
        population=table["population"].to_numpy()[rows],
        expected=table["expected_draws"].to_numpy()[rows],
        least=table["min_probability"].to_numpy()[rows],
        drawn=table["drawn"].to_numpy()[rows],
    )


def pool_labels(panel: Panel, pools: Pools) -> Labels:
    """Return the verdicts first known, counted where they are alike, sorted by cohort day.

    A verdict that was bet on stays: what a second reviewer or an appeal makes of it later changes
    estimates, never a bet.
    """
    rows, pool = pools.expand(panel.draws["lane"].to_numpy())
    table = panel.draws
    keep = (table["verdict_first"] != "unsure").to_numpy()[rows]
    rows, pool = rows[keep], pool[keep]
    says_fire = (table["verdict_first"] == "should_fire").to_numpy()[rows]
    labels = pd.DataFrame(
        {
            "day": table["day"].to_numpy()[rows],
            "known": table["known"].to_numpy()[rows],
            "pool": pool,
            "cell": table["cell"].to_numpy()[rows],
            "probability": table["inclusion_probability"].to_numpy(dtype=float)[rows],
            "is_event": says_fire != table["is_fired"].to_numpy(dtype=bool)[rows],
        }
    )
    alike = labels.groupby(ALIKE, sort=True).size().rename("count").reset_index()
    return Labels(
        day=alike["day"].to_numpy(dtype=np.int64),
        known=alike["known"].to_numpy(dtype=np.int64),
        pool=alike["pool"].to_numpy(dtype=np.int64),
        cell=alike["cell"].to_numpy(dtype=np.int64),
        probability=alike["probability"].to_numpy(dtype=float),
        is_event=alike["is_event"].to_numpy(dtype=bool),
        count=alike["count"].to_numpy(dtype=float),
    )
