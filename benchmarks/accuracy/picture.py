"""The results as one picture: who cries wolf, and who finds a drop when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OURS, OTHERS = "#1f6feb", "#8c959f"


def save_picture(records: list[dict[str, Any]], file: Path) -> None:
    """Draw every part that has a bound as a share of it: at the line or left of it holds."""
    import vl_convert

    file.write_text(vl_convert.vegalite_to_svg(json.dumps(_spec(records))))


def _spec(records: list[dict[str, Any]]) -> dict[str, Any]:
    panels = [_bounds(records)]
    peers = _peer_shares(records)
    if peers:
        panels.append(_peers(peers))
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "config": {"view": {"stroke": None}, "axis": {"grid": False, "labelLimit": 420}},
        "vconcat": panels,
    }


def _bounds(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the worst part of each row against its upper bound."""
    values = []
    for record in records:
        shares = [
            part["value"] / part["at_most"]
            for part in record["parts"]
            if part.get("at_most") and "at_least" not in part
        ]
        if shares:
            values.append({"row": record["row"], "share": max(shares)})
    y = {"field": "row", "type": "nominal", "sort": None, "title": None}
    x = {"field": "share", "type": "quantitative", "title": "worst figure as a share of its bound"}
    return {
        "width": 420,
        "data": {"values": values},
        "layer": [
            {"mark": {"type": "bar", "color": OURS, "height": 10}, "encoding": {"x": x, "y": y}},
            {
                "mark": {"type": "rule", "color": "#cf222e", "strokeDash": [4, 3]},
                "encoding": {"x": {"datum": 1, "type": "quantitative"}},
            },
        ],
    }


def _peer_shares(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for record in records:
        number = int(record["row"].split()[0])
        if number != 6:
            continue
        ours = next(part["value"] for part in record["parts"] if part["case"] == "goal: share")
        found.append({"who": "this pipeline", "share": ours, "ours": True})
        for name, said in record["peers"].items():
            if isinstance(said, str) and said.endswith("%") and name != "never alarms":
                found.append({"who": name, "share": float(said[:-1]) / 100, "ours": False})
    return found


def _peers(values: list[dict[str, Any]]) -> dict[str, Any]:
    colour = {"condition": {"test": "datum.ours", "value": OURS}, "value": OTHERS}
    return {
        "width": 420,
        "title": "false alarms in a year in which only the audit mix changes",
        "data": {"values": values},
        "mark": {"type": "bar", "height": 10},
        "encoding": {
            "y": {"field": "who", "type": "nominal", "sort": None, "title": None},
            "x": {
                "field": "share", "type": "quantitative", "title": None, "axis": {"format": "%"},
            },
            "color": colour,
        },
    }  # fmt: skip
