"""Acting on escalations from a shell: every verb, every refusal in one sentence, one screen."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from governance_pipeline.adapters.home import make_home
from governance_pipeline.adapters.registry_store import apply_registry
from governance_pipeline.cli import cli
from governance_pipeline.paths import Paths

Asked = Callable[..., Result]
OWNER = ["--actor", "moderation/ines", "--reason", "it is so"]
TRIAGER = ["--actor", "governance/gwen", "--reason", "it is so"]
REQUESTER = ["--actor", "product/pia", "--reason", "it is so"]
OPEN = [
    "open", "--title", "Toys are hidden in Germany", "--type", "wrong_suppression",
    "--strategy", "prohibited-goods-filter", "--market", "DE", "--exposure", "12000",
    "--metric", "precision", "--observed", "0.52", "--expected", "0.8",
    "--evidence", "https://wiki.market.example/toys", *REQUESTER,
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = Paths(tmp_path_factory.mktemp("desk"))
    make_home(paths, dt.date(2026, 3, 1), example=True)
    apply_registry(paths.registry, paths.lake, dt.date(2026, 3, 1))
    return paths.root


@pytest.fixture
def ask(home: Path, tmp_path: Path) -> Asked:
    """The command line, on a store that is this test's own."""
    url = f"sqlite:///{tmp_path / 'ops.db'}"

    def asked(*arguments: str) -> Result:
        return CliRunner(env={"GOVERNANCE_OPS_URL": url, "NO_COLOR": "1"}).invoke(
            cli, ["--home", str(home), "escalations", *arguments]
        )

    return asked


def opened(ask: Asked, *more: str) -> str:
    result = ask(*OPEN, *more, "--json")
    assert result.exit_code == 0, result.output
    return str(json.loads(result.output)["escalation_id"])


def done(ask: Asked, *arguments: str) -> str:
    result = ask(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_an_escalation_goes_from_a_report_to_a_result(ask: Asked) -> None:
    key = opened(ask)
    assert "noted on" in done(ask, *OPEN)
    assert "it is ASSIGNED" in done(ask, "triage", key, "--severity", "S2", *TRIAGER)
    assert "it is ASSIGNED" in done(ask, "assign", key, "--to", "ines", *OWNER)
    assert "it is ACKNOWLEDGED" in done(ask, "ack", key, "--ticket", "OPS-7", *OWNER)
    assert "it is IN_PROGRESS" in done(ask, "start", key, *OWNER)
    assert "it is ON_HOLD" in done(ask, "hold", key, "--awaiting", "legal_hold", *OWNER)
    assert "it is IN_PROGRESS" in done(ask, "resume", key, *OWNER)
    assert "it is MITIGATED" in done(ask, "mitigate", key, "--record", "rollback", *OWNER)
    resolving = ("--code", "strategy_fixed", "--evidence", "https://t.example/7", "--change", "v3")
    assert "next: deliver by" in done(ask, "resolve", key, *resolving, *OWNER)
    assert "it is IN_PROGRESS" in done(ask, "reopen", key, *REQUESTER)

    screen = done(ask, "show", key[:14])
    for said in (
        "Toys are hidden in Germany", "precision 52.0% against 80.0%", "12,000 impressions a day",
        "S2", "moderation/ines", "ticket OPS-7", "acknowledge", "met in", "governance/gwen",
        "https://wiki.market.example/toys", "next      moderation mends it: ",
        f"governance escalations mitigate | resolve {key}",
    ):  # fmt: skip
        assert said in screen, said
    assert max(map(len, screen.splitlines())) <= 100
    assert len(screen.splitlines()) <= 50

    whole = json.loads(done(ask, "show", key, "--json"))
    assert [event["seq"] for event in whole["events"]] == list(range(1, whole["version"] + 1))
    assert whole["external_ref"] == "OPS-7"


def test_the_queue_is_sorted_by_what_is_due_and_filtered_by_team(ask: Asked) -> None:
    low = opened(ask, "--type", "request", "--strategy", "trusted-seller-boost")
    law = opened(ask, "--statutory", "ncii_notice", "--market", "UK")
    for key in (low, law):
        done(ask, "triage", key, *TRIAGER)
    rows = [json.loads(line) for line in done(ask, "list", "--json").splitlines()]
    assert [row["escalation_id"] for row in rows] == [law, low]
    assert rows[0]["priority"] == "P1"
    assert rows[0]["slack_hours"] == pytest.approx(0.25, abs=0.01)
    assert law in done(ask, "list", "--team", "moderation")
    head, *lines = done(ask, "list").splitlines()
    assert head.split() == ["id", "prio", "status", "left", "owner", "what"]
    assert [line.split()[:3] for line in lines] == [
        [law, "P1", "ASSIGNED"],
        [low, "P3", "ASSIGNED"],
    ]
    assert max(map(len, lines)) <= 100
    assert done(ask, "list", "--team", "algo", "--json") == ""
    assert "and 1 more" in done(ask, "list", "--limit", "1")
    done(ask, "cancel", low, *REQUESTER)
    assert low not in done(ask, "list")
    assert low in done(ask, "list", "--all")


def test_what_is_turned_down_names_a_code_or_the_one_it_repeats(ask: Asked) -> None:
    first = opened(ask)
    second = opened(ask, "--strategy", "counterfeit-listing-block")
    assert "it is DUPLICATE" in done(ask, "reject", second, "--duplicate-of", first, *TRIAGER)
    assert "it is REJECTED" in done(ask, "reject", first, "--code", "not_reproducible", *TRIAGER)
    assert ask("reject", first, *TRIAGER).exit_code == 2
    again = ask(*OPEN)
    assert again.exit_code == 1
    assert "was REJECTED lately" in again.output


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (["ack", "KEY", *REQUESTER], "is NEW and cannot become ACKNOWLEDGED"),
        (["ack", "KEY", "--actor", "nobody", "--reason", "x"], "no team can be told from actor"),
        (["triage", "KEY", *OWNER], "may not weigh it"),
        (["accept", "KEY", *REQUESTER], "is NEW and cannot become CLOSED"),
        (["assign", "KEY", *TRIAGER], "triage it first"),
        (["assign", "KEY", "--wrong-team", *OWNER], "only what is ASSIGNED is given back"),
        (["show", "20200101"], "there is no escalation 20200101"),
        (["cancel", "KEY", "--actor", "product/pia", "--reason", " "], "give a reason"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_code_1(ask: Asked, verb: list[str], said: str) -> None:
    key = opened(ask)
    result = ask(*[key if part == "KEY" else part for part in verb])
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_transitions_go_out_and_come_back_as_files(ask: Asked, tmp_path: Path) -> None:
    key = opened(ask)
    out = tmp_path / "transitions.csv"
    assert "1 transitions" in done(ask, "export", "--to", str(out))
    assert key in out.read_text()
    back = tmp_path / "back.csv"
    back.write_text(
        "escalation_id,action,actor,reason,severity,urgency\n"
        f"{key},triage,governance/gwen,clear,S2,\n{key},ack,algo/ana,mine,,\n"
    )
    result = ask("import", str(back))
    assert result.exit_code == 1
    assert "1 transitions taken from back.csv" in result.output
    assert "refused: back.csv row 2: algo/ana may not make it ACKNOWLEDGED" in result.output
