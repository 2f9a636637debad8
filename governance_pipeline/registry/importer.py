"""Bringing strategies kept elsewhere into the register: a table and a mapping in, YAML out."""

import csv
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from governance_pipeline.errors import RegistryError
from governance_pipeline.registry.models import LEGACY, Strategy

LISTS = {"channels", "partner_teams"}


def import_strategies(
    source: Path, mapping: Path, folder: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write one YAML file per row of `source` into `folder`/strategies.

    Args:
        source: CSV with a header, or JSON: a list of objects.
        mapping: YAML, our field to theirs: a column's name, `{value: x}`, or
            `{column: name, map: {theirs: ours}, default: x}`. Dotted fields fill what is nested:
            `goals.precision`, `goals.recall`, `goals.tolerance`, `version.author`.
        folder: The register to write to.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        RegistryError: If a row is wrong (file, row, field and remedy are named) or a file exists;
            nothing is written then.
    """
    rules = yaml.safe_load(mapping.read_text(encoding="utf-8")) or {}
    strategies = [
        _strategy(source, number, _mapped(source, number, row, rules))
        for number, row in enumerate(_rows(source), start=1)
    ]
    targets = {folder / "strategies" / f"{s.strategy_id}.yaml": s for s in strategies}
    if len(targets) < len(strategies):
        raise RegistryError(f"{source}: two rows have the same strategy_id; make them different")
    existing = [str(path) for path in targets if path.exists()]
    if existing and not overwrite:
        raise RegistryError(f"{', '.join(existing)} exist; pass --overwrite to replace them")
    (folder / "strategies").mkdir(parents=True, exist_ok=True)
    for path, strategy in targets.items():
        path.write_text(_as_yaml(strategy), encoding="utf-8")
    return sorted(targets)


def _rows(source: Path) -> list[dict[str, Any]]:
    try:
        if source.suffix == ".json":
            rows = json.loads(source.read_text(encoding="utf-8"))
            if not isinstance(rows, list):
                raise RegistryError(f"{source}: expected a list of objects")
            return rows
        with source.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{source} cannot be read: {error}; save it as UTF-8") from error


def _mapped(
    source: Path, number: int, row: dict[str, Any], rules: dict[str, Any]
) -> dict[str, Any]:
    return {field: _value(source, number, field, row, rule) for field, rule in rules.items()}


def _value(source: Path, number: int, field: str, row: dict[str, Any], rule: Any) -> Any:
    if isinstance(rule, dict) and "value" in rule:
        return rule["value"]
    column = rule["column"] if isinstance(rule, dict) else rule
    if column not in row:
        raise RegistryError(
            f"{source} row {number}: {field} is mapped to column {column}, which is not there; "
            f"the columns are {', '.join(row)}"
        )
    given = row[column]
    if not isinstance(rule, dict):
        return given
    if given in ("", None) and "default" in rule:
        return rule["default"]
    translated = rule.get("map", {})
    if translated and given not in translated:
        raise RegistryError(
            f"{source} row {number}: {field} {given!r} is not in the mapping; add it to `map`"
        )
    return translated.get(given, given)


def _strategy(source: Path, number: int, fields: dict[str, Any]) -> Strategy:
    nested = {name: value for name, value in fields.items() if "." in name}
    flat = {name: value for name, value in fields.items() if "." not in name}
    for name in LISTS & flat.keys():
        if isinstance(flat[name], str):
            flat[name] = [part.strip() for part in flat[name].split(",") if part.strip()]
    since = nested.get("version.effective_from", flat.get("since"))
    version = {"number": 1, "approver": LEGACY, "reason": "imported as it was", "author": "unknown"}
    version |= {
        k.removeprefix("version."): v for k, v in nested.items() if k.startswith("version.")
    }
    version["effective_from"] = since
    goals = [_goal(metric, nested, since) for metric in ("precision", "recall")]
    try:
        return Strategy.model_validate({**flat, "versions": [version], "goals": goals})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RegistryError(
            f"{source} row {number}: {where}: {first['msg']} (given: {first.get('input')!r})"
        ) from error


def _goal(metric: str, nested: dict[str, Any], since: Any) -> dict[str, Any]:
    goal = nested.get(f"goals.{metric}")
    known = {"metric": metric, "effective_from": since}
    if goal in (None, ""):
        return {**known, "goal": None, "goal_null_reason": "none was kept where it came from"}
    return {**known, "goal": goal, "tolerance": nested.get("goals.tolerance", 0.02)}


def _as_yaml(strategy: Strategy) -> str:
    said = strategy.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=96)
