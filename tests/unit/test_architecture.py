"""The rules of the house that no linter knows."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "governance_pipeline"
LAYERS = ("registry", "domain", "adapters", "defs")
PURE = {"dagster", "dagster_dbt", "duckdb", "sqlalchemy", "pathlib", "os", "io", "time", "requests"}
READERS = {"open", "read_text", "read_csv", "read_parquet", "now", "today", "utcnow"}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).rglob("*.py"))


@pytest.mark.parametrize("file", files("domain"), ids=lambda f: f.name)
def test_the_domain_knows_no_file_no_clock_and_no_orchestrator(file: Path) -> None:
    roots = {name.split(".")[0] for name in imported(file)}
    assert not roots & PURE
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
    }
    assert not called & READERS


def test_there_is_a_domain_to_look_at() -> None:
    assert len(files("domain")) > 3


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer: str) -> None:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    for file in files(layer):
        crossing = {
            n for n in imported(file) for a in above if n.startswith(f"governance_pipeline.{a}")
        }
        assert not crossing, f"{file.name} reaches up to {crossing}"


def test_only_the_demo_and_the_benchmarks_know_the_simulation() -> None:
    for file in PACKAGE.rglob("*.py"):
        if "simulation" in file.parts or file.name == "cli.py":
            continue
        assert not any("simulation" in name for name in imported(file)), file


def test_only_definitions_and_the_commands_read_the_environment() -> None:
    for file in files("defs"):
        assert "Settings()" not in file.read_text(), file
