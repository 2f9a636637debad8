"""A strategy's history as a picture: each metric with its interval and goal, and the evidence."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

COLOURS = {"precision": "#1f6feb", "recall": "#bf3989"}
WIDTH, HEIGHT = 640, 130


def history_chart(history: pd.DataFrame, goals: Mapping[str, float]) -> str:
    """Return an SVG of the last days as markdown that Dagster shows in place.

    Args:
        history: One row per day and metric: `date`, `metric`, `estimate`, `lo`, `hi` in [0, 1]
            and `e_value` > 0; nulls leave a gap.
        goals: The goal of each metric that has one, in [0, 1].
    """
    import vl_convert

    # A picture of lines is 20 times smaller, and 5 times faster, as SVG than as PNG.
    picture = vl_convert.vegalite_to_svg(json.dumps(_spec(history, goals))).encode()
    return f"![history](data:image/svg+xml;base64,{base64.b64encode(picture).decode()})"


def _spec(history: pd.DataFrame, goals: Mapping[str, float]) -> dict[str, Any]:
    rows = history.assign(date=pd.to_datetime(history["date"]).dt.strftime("%Y-%m-%d"))
    values = json.loads(rows.to_json(orient="records"))
    shown = [metric for metric in COLOURS if metric in set(history["metric"])]
    panels = [_metric_panel(metric, goals.get(metric)) for metric in shown]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "background": "white",
        # Every tick is an element to lay out: without them a picture takes half the time.
        "config": {
            "view": {"stroke": "#d0d7de"},
            "axis": {"grid": False, "ticks": False, "tickCount": 6},
        },
        "vconcat": [*panels, _evidence_panel()],
    }


def _metric_panel(metric: str, goal: float | None) -> dict[str, Any]:
    x = {"field": "date", "type": "temporal", "title": None}
    y = {"type": "quantitative", "title": metric, "scale": {"zero": False}, "axis": {"format": "%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "opacity": 0.2, "color": COLOURS[metric]},
            "encoding": {"x": x, "y": {**y, "field": "lo"}, "y2": {"field": "hi"}},
        },
        {
            "mark": {"type": "line", "color": COLOURS[metric], "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "estimate"}},
        },
    ]
    if goal is not None:
        layers.append(
            {
                "mark": {"type": "rule", "strokeDash": [5, 4], "color": "#57606a"},
                "encoding": {"y": {"datum": goal, "type": "quantitative"}},
            }
        )
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "transform": [{"filter": f"datum.metric == '{metric}'"}],
        "layer": layers,
    }


def _evidence_panel() -> dict[str, Any]:
    y = {
        "field": "e_value",
        "type": "quantitative",
        "title": "e-value",
        "scale": {"type": "log"},
        "axis": {"tickCount": 4, "format": "~g"},
    }
    colour = {"domain": list(COLOURS), "range": list(COLOURS.values())}
    return {
        "width": WIDTH,
        "height": 80,
        "transform": [{"filter": "datum.e_value > 0"}],
        "layer": [
            {
                "mark": {"type": "line", "strokeWidth": 1.5},
                "encoding": {
                    "x": {"field": "date", "type": "temporal", "title": None},
                    "y": y,
                    "color": {
                        "field": "metric",
                        "scale": colour,
                        "legend": {"orient": "bottom", "title": None},
                    },
                },
            },
            {
                "mark": {"type": "rule", "strokeDash": [2, 3], "color": "#cf222e"},
                "encoding": {"y": {"datum": 20, "type": "quantitative"}},
            },
        ],
    }
