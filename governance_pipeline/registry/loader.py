"""Reading the register's YAML; every mistake is named with its file, its line and its field."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from governance_pipeline.errors import RegistryError
from governance_pipeline.registry.escalation import EscalationPolicy
from governance_pipeline.registry.models import (
    ChannelEntry,
    Market,
    Policy,
    Registry,
    Strategy,
    Team,
)

LISTS: dict[str, tuple[str, type[BaseModel]]] = {
    "channels": ("channel", ChannelEntry),
    "teams": ("team", Team),
    "policies": ("policy", Policy),
    "markets": ("market", Market),
}


def load_registry(folder: Path) -> Registry:
    """Return the register kept in a folder.

    Args:
        folder: Holds channels.yaml, teams.yaml, policies.yaml, markets.yaml (a list each) and
            strategies/*.yaml (one strategy each); the shipped escalation_policy.yaml holds if it
            has none.

    Raises:
        RegistryError: If anything is missing or wrong; one line per mistake, `file:line: ...`.
    """
    mistakes: list[str] = []
    found: dict[str, dict[str, Any]] = {"strategies": {}}
    for name, (key, model) in LISTS.items():
        file = folder / f"{name}.yaml"
        rows = list(_entries(file, model, mistakes, is_list=True))
        found[name] = _by_key(file, key, rows, mistakes)
    files = sorted((folder / "strategies").glob("*.y*ml"))
    for file in files:
        rows = list(_entries(file, Strategy, mistakes, is_list=False))
        for strategy_id, strategy in _by_key(file, "strategy_id", rows, mistakes).items():
            if strategy_id in found["strategies"]:
                mistakes.append(f"{file}:1: {strategy_id} is defined twice; give each its own id")
            found["strategies"][strategy_id] = strategy
    policy = folder / "escalation_policy.yaml"
    if policy.exists():
        for entry, _ in _entries(policy, EscalationPolicy, mistakes, is_list=False):
            found["escalation_policy"] = entry
    if mistakes:
        raise RegistryError("\n".join(mistakes))
    return Registry(**found)


def _entries(
    file: Path, model: type[BaseModel], mistakes: list[str], *, is_list: bool
) -> Iterator[tuple[Any, int]]:
    """Yield each valid entry of a file with its line; note what is wrong with the others."""
    if not file.exists():
        mistakes.append(f"{file}:1: the file is missing; add it, as in the example register")
        return
    try:
        node = _compose(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        mistakes.append(f"{file}:{line}: not YAML: {getattr(error, 'problem', error)}")
        return
    expected = yaml.SequenceNode if is_list else yaml.MappingNode
    if not isinstance(node, expected):
        mistakes.append(f"{file}:1: expected a {'list' if is_list else 'mapping'} here")
        return
    assert node is not None
    for entry in node.value if is_list else [node]:
        mistakes.extend(_repeated_keys(file, entry))
        value = _construct(entry)
        try:
            yield model.model_validate(value), entry.start_mark.line + 1
        except ValidationError as error:
            mistakes.extend(_described(file, entry, error))


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:  # the slow reader says better what is wrong, and where
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _repeated_keys(file: Path, node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield f"{file}:{key.start_mark.line + 1}: {key.value} is given twice; keep one"
            seen.add(key.value)
            yield from _repeated_keys(file, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated_keys(file, value)


def _described(file: Path, node: yaml.Node, error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        where = ".".join(str(part) for part in detail["loc"])
        line = _line_of(node, detail["loc"])
        given = detail.get("input")
        value = f" (given: {given!r})" if isinstance(given, str | int | float | dt.date) else ""
        said = detail["msg"].removeprefix("Value error, ")
        yield f"{file}:{line}: {where or 'entry'}: {said}{value}"


def _line_of(node: yaml.Node, path: tuple[int | str, ...]) -> int:
    """Return the line of the deepest node on a path that exists."""
    line = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    node, line = value, key.start_mark.line + 1
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _by_key(
    file: Path, key: str, rows: list[tuple[Any, int]], mistakes: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry, line in rows:
        name = getattr(entry, key)
        if name in found:
            mistakes.append(f"{file}:{line}: {name} is defined twice; keep one")
        found[name] = entry
    return found
