"""The ratios as one picture: what ours costs as a share of what it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OURS, LIMIT = "#1f6feb", "#cf222e"


def save_picture(records: list[dict[str, Any]], size: str, file: Path) -> None:
    """Draw every upper bound as a line at 1: at the line or left of it holds."""
    import vl_convert

    file.write_text(vl_convert.vegalite_to_svg(json.dumps(_spec(records, size))))


def _spec(records: list[dict[str, Any]], size: str) -> dict[str, Any]:
    values = []
    for record in records:
        bound = record["must"].removeprefix("<=").removeprefix("<").strip()
        if record["must"].startswith("<"):
            most = float(bound)
            spread = record.get("cpu_ratio", {})
            values.append({
                "row": record["row"],
                "share": record["figure"] / most,
                "least": spread.get("least", record["figure"]) / most,
                "most": spread.get("most", record["figure"]) / most,
            })  # fmt: skip
    y = {"field": "row", "type": "nominal", "sort": None, "title": None}
    x = {"type": "quantitative", "title": "figure as a share of its bound"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "config": {"view": {"stroke": None}, "axis": {"grid": False, "labelLimit": 460}},
        "width": 420,
        "title": size,
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "color": OURS, "height": 10},
                "encoding": {"x": {**x, "field": "share"}, "y": y},
            },
            {
                "mark": {"type": "rule", "color": "#24292f"},
                "encoding": {"x": {**x, "field": "least"}, "x2": {"field": "most"}, "y": y},
            },
            {
                "mark": {"type": "rule", "color": LIMIT, "strokeDash": [4, 3]},
                "encoding": {"x": {"datum": 1, "type": "quantitative"}},
            },
        ],
    }
