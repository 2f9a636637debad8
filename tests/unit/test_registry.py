"""The register: what is wrong is named with file and line, what is right round-trips."""

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from governance_pipeline.adapters import registry_store
from governance_pipeline.cli import cli
from governance_pipeline.errors import RegistryError
from governance_pipeline.feeds import CHANNELS
from governance_pipeline.registry.importer import import_strategies
from governance_pipeline.registry.lint import lint
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.registry.snapshot import registry_frames, registry_hash

EXAMPLE = Path(registry_store.__file__).resolve().parents[1] / "registry" / "example"
STRATEGY = "strategies/ad-health-claim-block.yaml"
TODAY = dt.date(2026, 5, 30)


@pytest.fixture
def register(tmp_path: Path) -> Path:
    """A copy of the example register, to break."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "registry"))


def edit(file: Path, **changes: object) -> None:
    entry = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(entry | changes, sort_keys=False))


def line_of(file: Path, text: str) -> int:
    return next(n for n, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def findings(register: Path) -> list[str]:
    found = lint(load_registry(register), TODAY)
    return [f"{f.where}: {f.message}" for f in found if f.severity == "error"]


def test_the_example_market_is_whole() -> None:
    market = load_registry(EXAMPLE)
    assert len(market.strategies) >= 24
    assert set(market.channels) == set(CHANNELS)
    assert {s.owner_team for s in market.strategies.values()} == {
        "product", "search_recommendation", "algo", "moderation",
    }  # fmt: skip
    assert "governance" in market.teams
    assert {"shadow", "paused", "retired"} <= {s.lifecycle for s in market.strategies.values()}
    assert sum(len(s.channels) > 1 for s in market.strategies.values()) >= 3
    assert {c for s in market.strategies.values() for c in s.channels} == set(CHANNELS)
    for strategy in market.strategies.values():
        assert all(version.approver != version.author for version in strategy.versions)
    assert not [f for f in lint(market, TODAY) if f.severity == "error"]


def test_an_unknown_field_is_named_with_file_and_line(register: Path) -> None:
    file = register / STRATEGY
    file.write_text(file.read_text() + "ownr: algo\n")
    with pytest.raises(RegistryError) as caught:
        load_registry(register)
    assert f"{file}:{line_of(file, 'ownr')}: ownr" in str(caught.value)


def test_a_wrong_value_is_named_with_its_line_and_what_was_given(register: Path) -> None:
    file = register / STRATEGY
    edit(file, action="banish")
    with pytest.raises(RegistryError) as caught:
        load_registry(register)
    assert f"{file}:{line_of(file, 'action')}: action" in str(caught.value)
    assert "given: 'banish'" in str(caught.value)


def test_every_mistake_is_told_at_once(register: Path) -> None:
    edit(register / STRATEGY, action="banish")
    (register / "teams.yaml").unlink()
    (register / "markets.yaml").write_text("- market: [")
    with pytest.raises(RegistryError) as caught:
        load_registry(register)
    said = str(caught.value).splitlines()
    assert len(said) >= 3
    assert any("teams.yaml:1: the file is missing" in line for line in said)
    assert any("markets.yaml:1: not YAML" in line for line in said)


def test_a_key_given_twice_is_refused_where_yaml_would_keep_the_last(register: Path) -> None:
    file = register / STRATEGY
    file.write_text(file.read_text() + "action: boost\n")
    with pytest.raises(RegistryError, match="action is given twice"):
        load_registry(register)


def test_an_author_cannot_approve_the_own_version(register: Path) -> None:
    file = register / STRATEGY
    entry = yaml.safe_load(file.read_text())
    entry["versions"][0]["approver"] = entry["versions"][0]["author"]
    file.write_text(yaml.safe_dump(entry))
    with pytest.raises(RegistryError, match="another person must approve"):
        load_registry(register)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"owner_team": "nobody"}, "owner_team nobody is not in teams.yaml"),
        ({"policy": "unheard_of"}, "policy unheard_of is not in policies.yaml"),
        ({"scope": {"markets": ["ZZ"]}}, "market ZZ, unknown"),
        ({"sor_required": True, "sor_reason": None}, "sor_required without sor_reason"),
        (
            {"goals": [{"metric": "precision", "effective_from": "2025-01-01", "goal": 0.9}]},
            "no recall goal is in force",
        ),
    ],
)
def test_lint_finds_what_types_cannot_see(
    register: Path, changes: dict[str, object], said: str
) -> None:
    edit(register / STRATEGY, **changes)
    assert any(said in finding for finding in findings(register))


def test_gaps_and_disorder_in_a_history_are_errors(register: Path) -> None:
    file = register / STRATEGY
    entry = yaml.safe_load(file.read_text())
    first = entry["versions"][0]
    entry["versions"] = [first, first | {"number": first["number"] + 2}]
    file.write_text(yaml.safe_dump(entry))
    said = " ".join(findings(register))
    assert "do not count up by one" in said
    assert "two versions take effect on one day" in said


def test_the_hash_follows_the_content_and_not_the_layout(register: Path) -> None:
    before = registry_hash(load_registry(register))
    file = register / STRATEGY
    file.write_text("# a remark\n" + yaml.safe_dump(yaml.safe_load(file.read_text())))
    assert registry_hash(load_registry(register)) == before
    edit(file, name="Another name")
    assert registry_hash(load_registry(register)) != before


def test_every_strategy_is_on_its_channels_in_the_snapshot() -> None:
    market = load_registry(EXAMPLE)
    frames = registry_frames(market)
    pairs = frames["strategy_channels"][["strategy_id", "channel"]].to_numpy().tolist()
    assert sorted(map(tuple, pairs)) == sorted(
        (s.strategy_id, channel) for s in market.strategies.values() for channel in s.channels
    )


def test_a_broken_register_leaves_the_last_valid_one_running(
    register: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    digest, _ = registry_store.apply_registry(register, lake, TODAY)
    edit(register / STRATEGY, owner_team="nobody")
    with pytest.raises(RegistryError, match="nobody"):
        registry_store.apply_registry(register, lake, TODAY)
    kept = registry_store.apply_or_keep(register, lake, TODAY)
    assert kept.registry_hash == digest
    assert any("nobody" in problem for problem in kept.problems)


MAPPING = {
    "strategy_id": "rule_key",
    "name": "title",
    "description": "what",
    "channels": "surfaces",
    "action": {"column": "effect", "map": {"remove": "block", "push": "boost"}},
    "kind": {"value": "rule"},
    "policy": {"value": "prohibited_goods"},
    "owner_team": {"column": "team", "default": "moderation"},
    "backup_owner": {"value": "algo"},
    "lifecycle": {"value": "live"},
    "audit_sample": {"value": "upstream"},
    "never_stale": {"value": "kept by the old tool"},
    "version.effective_from": "live_since",
    "goals.precision": "min_precision",
}
ROW = {
    "rule_key": "old-blocker",
    "title": "Old blocker",
    "what": "Blocks what the old tool blocked.",
    "surfaces": "shoptab, video",
    "effect": "remove",
    "team": "",
    "live_since": "2025-02-01",
    "min_precision": "0.9",
}


def import_row(tmp_path: Path, form: str, **changes: str) -> list[Path]:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(yaml.safe_dump(MAPPING))
    source = tmp_path / f"old.{form}"
    row = ROW | changes
    if form == "json":
        source.write_text(json.dumps([row]))
    else:
        cells = [f'"{value}"' for value in row.values()]
        source.write_text(",".join(row) + "\n" + ",".join(cells) + "\n")
    return import_strategies(source, mapping, tmp_path / "registry")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_strategies_kept_elsewhere_become_valid_entries(
    register: Path, tmp_path: Path, form: str
) -> None:
    (written,) = import_row(tmp_path, form)
    imported = load_registry(register).strategies["old-blocker"]
    assert written == register / "strategies" / "old-blocker.yaml"
    assert imported.channels == ["shoptab", "video"]
    assert (imported.action, imported.owner_team) == ("block", "moderation")
    assert imported.current_version.approver == "legacy"
    assert [goal.goal for goal in imported.goals] == [0.9, None]
    assert not findings(register)
    with pytest.raises(RegistryError, match="--overwrite"):
        import_row(tmp_path, form)


def test_an_import_names_file_row_and_value_and_writes_nothing(
    register: Path, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match=r"old\.csv row 1: action 'vanish' is not in"):
        import_row(tmp_path, "csv", effect="vanish")
    with pytest.raises(RegistryError, match=r"row 1: goals\.0\.goal: .*less than or equal to 1"):
        import_row(tmp_path, "csv", min_precision="90")
    assert not (register / "strategies" / "old-blocker.yaml").exists()


def test_the_commands_lint_and_apply(register: Path, tmp_path: Path) -> None:
    home = ["--home", str(tmp_path)]
    fine = CliRunner().invoke(cli, [*home, "registry", "lint"])
    assert fine.exit_code == 0, fine.output
    assert "27 strategies, no errors" in fine.output
    applied = CliRunner().invoke(cli, [*home, "registry", "apply"])
    assert applied.exit_code == 0, applied.output
    assert registry_store.applied_hash(tmp_path / "lake") == registry_hash(load_registry(register))
    edit(register / STRATEGY, owner_team="nobody")
    broken = CliRunner().invoke(cli, [*home, "registry", "lint"])
    assert broken.exit_code == 1
    assert "error: ad-health-claim-block: owner_team nobody" in broken.output
    assert "Traceback" not in broken.output
