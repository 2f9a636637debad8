"""The policy of escalations: mistakes are named with file and line, or by lint with a remedy."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance_pipeline.domain.desk import desk_of
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.routing import route
from governance_pipeline.errors import RegistryError
from governance_pipeline.registry.conditions import (
    CHANNEL_FIELDS,
    CLOSED_SETS,
    FINDING_FIELDS,
    STRATEGY_FIELDS,
)
from governance_pipeline.registry.lint import lint
from governance_pipeline.registry.loader import load_registry
from governance_pipeline.registry.models import ChannelEntry, Registry, Strategy
from tests.unit.desks import DROP, EXAMPLE, REGISTRY

FILE = "escalation_policy.yaml"


@pytest.fixture
def register(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "registry"))


def changed(register: Path, **parts: Any) -> None:
    file = register / FILE
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | parts, sort_keys=False))


def problems(register: Path) -> list[str]:
    found = lint(load_registry(register))
    return [f"{f.where}: {f.message}" for f in found if f.severity == "error"]


def test_every_field_that_a_rule_may_read_exists() -> None:
    assert set(FINDING_FIELDS) <= set(Finding.__dataclass_fields__)
    strategy = REGISTRY.strategies["counterfeit-listing-block"]
    assert all(isinstance(getattr(strategy, name), str) for name in STRATEGY_FIELDS)
    assert set(STRATEGY_FIELDS) - set(Strategy.model_fields) == {"polarity"}
    assert set(CHANNEL_FIELDS) <= set(ChannelEntry.model_fields)
    fields = {*FINDING_FIELDS, *(f"strategy.{n}" for n in STRATEGY_FIELDS)}
    assert set(CLOSED_SETS) <= fields


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("field: cause, value: mix", "field: rca.top_driver, value: mix", "no rule can read rca"),
        ("value: metric_drop}, {field: cause", "value: metric_dip}, {field: cause", "metric_dip"),
        ("acknowledge: PT15M", "acknowledge: 15 minutes", "is not a duration"),
        ("limit: P10BD", "limit: P10WD", "is not a duration such as"),
        ("zone: Europe/Dublin", "zone: Europe/Dublino", "no IANA time zone"),
        ('opens: "09:00", closes: "18:00", country: US', 'opens: "18:00", closes: "09:00", '
         "country: US", "not later"),
        ("S4: {U1: P3, U2: P4, U3: P4}", "S4: {U1: P3, U2: P4}", "a priority for each of S1-S4"),
        ("resolve: PT24H, deliver: PT4H, pause_allowed: false",
         "resolve: PT24H, deliver: PT4H, pause_allowed: true", "P1 may not be paused"),
        ("- {at: 0.8", "- {at: 0.4", "must rise"),
        ("calendar: always, acknowledge: PT1H", "calendar: night, acknowledge: PT1H", "night"),
        ("- team: product\n  fallback: duty\n\n", "- when: [{field: channel, op: is_known}]\n"
         "  team: product\n  fallback: duty\n\n", "must match everything"),
        ("    op: is_in", "    operator: is_in", "Extra inputs"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_file_and_line(
    register: Path, before: str, after: str, said: str
) -> None:
    file = register / FILE
    text = file.read_text()
    if before not in text:  # written as a block once
        text = yaml.safe_dump(yaml.safe_load(text), sort_keys=False)
    assert before in text
    file.write_text(text.replace(before, after, 1))
    with pytest.raises(RegistryError, match=rf"{FILE}:\d+: .*{said}"):
        load_registry(register)


def test_lint_names_teams_policies_and_countries_that_do_not_exist(register: Path) -> None:
    policy = yaml.safe_load((register / FILE).read_text())
    policy["duty_team"] = "nobody"
    policy["routing"][0]["fallback"] = "no_one"
    policy["severity"]["harm"][1]["when"][1]["value"] = ["unheard_of"]
    policy["calendars"]["eu"]["country"] = "EU"
    policy["ladder"][0]["notify"] = ["the_boss"]
    changed(register, **policy)
    found = " ".join(problems(register))
    for said in (
        "duty_team: team nobody", "routing.0.fallback: team no_one", "policy unheard_of",
        "holidays of EU are unknown", "the_boss is neither a team nor",
    ):  # fmt: skip
        assert said in found, said


def test_a_team_needs_a_calendar_of_the_policy_and_routes_for_its_names(register: Path) -> None:
    file = register / "teams.yaml"
    teams = yaml.safe_load(file.read_text())
    teams[0]["calendar"] = "moon"
    teams[1]["notify"].append("fax")
    file.write_text(yaml.safe_dump(teams))
    found = problems(register)
    assert any("calendar moon is not in" in said for said in found)
    assert any("fax, which has no route" in said for said in found)
    teams[0]["routes"] = {"room": {"env": "https://hooks.example/secret"}}
    file.write_text(yaml.safe_dump(teams))
    with pytest.raises(RegistryError, match=r"teams.yaml:\d+: routes.room.env"):
        load_registry(register)


def test_without_a_policy_of_its_own_a_register_runs_by_the_shipped_one(register: Path) -> None:
    (register / FILE).unlink()
    loaded = load_registry(register)
    assert loaded.escalation_policy.is_shipped
    assert not [f for f in lint(loaded) if f.severity == "error"]
    own = load_registry(EXAMPLE).escalation_policy
    assert loaded.escalation_policy.model_copy(update={"is_shipped": False}) == own


def test_the_shipped_policy_finds_an_owner_among_whatever_teams_there_are() -> None:
    teams = {"alpha": REGISTRY.teams["algo"].model_copy(update={"team": "alpha"})}
    alone = REGISTRY.model_copy(update={"teams": teams, "strategies": {}, "channels": {}})
    for kind in ("safety", "data_quality", "metric_drop", "missed_violation", "request"):
        found = Finding(
            **{**{f: getattr(DROP, f) for f in DROP.__dataclass_fields__}, "type": kind}
        )
        routed = route(found, desk_of(alone))
        assert (routed.team, routed.backup, routed.notify) == ("alpha", "alpha", ())


def test_the_policy_survives_its_way_through_the_lake() -> None:
    assert Registry.model_validate_json(REGISTRY.model_dump_json()) == REGISTRY
