"""`governance feed check`: the verdict on a file, before and without its delivery."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner, Result

from governance_pipeline.adapters.checking import Checked, check_file
from governance_pipeline.cli import cli
from governance_pipeline.errors import InputError, SourceError
from governance_pipeline.paths import Paths
from tests.integration.deliveries import (
    DAY,
    FORMS,
    Row,
    as_csv,
    as_jsonl,
    decision,
    deliver,
    label,
    make_home,
    only,
    take_in,
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path / "home")


def spoiled(count: int = 30) -> list[Row]:
    rows = [decision(n) for n in range(1, count + 1)]
    rows[3] |= {"score": 1.7, "action": "nuke"}
    rows[9] |= {"automated_detection": None}
    return [*rows, decision(2)]


def written(tmp_path: Path, rows: Sequence[Row], name: str = "a.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(FORMS[name](rows))
    return file


def check(file: Path | str, paths: Paths, feed: str = "decisions", **more: object) -> Checked:
    given = {"day": DAY, **more}
    return check_file(str(file), feed, paths=paths, **given)  # type: ignore[arg-type]


def command(paths: Paths, *arguments: object) -> Result:
    said = ["--home", str(paths.root), "feed", "check", "--date", DAY, *arguments]
    return CliRunner().invoke(cli, [*map(str, said)], catch_exceptions=False)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_each_broken_rule_is_said_with_row_value_and_remedy(paths: Paths, tmp_path: Path) -> None:
    file = written(tmp_path, [*spoiled(), decision(40, decided_at="yesterday")])
    lines = file.read_bytes().splitlines(keepends=True)
    lines.insert(3, b"half a row\n")
    file.write_bytes(b"".join(lines))
    found = check(file, paths)
    assert (found.rows, found.accepted, found.quarantined) == (33, 29, 4)
    assert not found.is_accepted
    assert [(f.rule.name, f.failed, list(f.rows)) for f in found.findings] == [
        ("row_is_readable", 1, [(3, "half a row")]),
        ("decision_id_is_unique", 1, [(32, "d2")]),
        ("decided_at_is_a_timestamp", 1, [(33, "yesterday")]),
        ("score_is_between_0_and_1", 1, [(5, "1.7")]),
        ("action_is_known", 1, [(5, "nuke")]),
        ("automated_detection_is_present", 1, [(11, None)]),
    ]
    assert all(f.rule.why and f.rule.remedy for f in found.findings)


@pytest.mark.parametrize("name", FORMS)
def test_the_check_says_of_every_form_what_intake_does(
    paths: Paths, tmp_path: Path, name: str
) -> None:
    file = written(tmp_path, spoiled(), name)
    found = check(file, paths)
    deliver(paths, name, file.read_bytes())
    made = only(take_in(paths))
    assert (found.rows, found.accepted, found.quarantined) == (
        made.rows_delivered, made.rows_accepted, made.rows_quarantined,
    )  # fmt: skip
    failed = {rule.rule: rule.failed_rows for rule in made.rules if rule.failed_rows}
    assert {finding.rule.name: finding.failed for finding in found.findings} == failed
    assert dict(found.findings[1].rows) in ({4: "1.7"}, {4: "1.7000000000000002"})


def test_a_bad_file_ends_with_1_a_good_one_with_0_and_the_home_is_untouched(
    paths: Paths, tmp_path: Path
) -> None:
    before = everything(tmp_path / "home")
    bad, good = written(tmp_path, spoiled()), tmp_path / "good.csv"
    good.write_bytes(as_csv([decision(1), decision(2, gmv="dear")]))
    refused = command(paths, bad, "--feed", "decisions")
    assert refused.exit_code == 1
    assert "31 rows, 29 accepted, 2 to the quarantine" in refused.output
    assert "  row 4: '1.7'\n" in refused.output
    assert max(map(len, refused.output.splitlines()[1:])) <= 100
    passed = command(paths, good, "--feed", "decisions", "--channel", "shopads")
    assert passed.exit_code == 0
    assert "gmv_is_a_number  1 row, let pass" in passed.output
    assert everything(tmp_path / "home") == before
    assert not (tmp_path / ".governance").exists()


def test_a_supplier_needs_no_home(tmp_path: Path) -> None:
    nowhere = Paths(tmp_path / "nowhere")
    assert check(written(tmp_path, spoiled()), nowhere).accepted == 29
    assert not nowhere.root.exists()


def test_the_same_for_programs(paths: Paths, tmp_path: Path) -> None:
    said = command(paths, written(tmp_path, spoiled()), "--feed", "decisions", "--json")
    assert said.exit_code == 1
    told = json.loads(said.output)
    assert (told["accepted"], told["is_accepted"], told["refusals"]) == (29, False, [])
    assert {"row": 4, "value": "1.7"} in told["findings"][1]["rows"]
    assert told["findings"][1]["remedy"]


def test_many_bad_rows_are_counted_and_some_shown(paths: Paths, tmp_path: Path) -> None:
    rows = [decision(n, gmv="x" * 90 if n % 2 else 1) for n in range(1, 2001)]
    said = command(paths, written(tmp_path, rows), "--feed", "decisions", "--limit", "3")
    assert "gmv_is_a_number  1,000 rows, let pass" in said.output
    assert said.output.count("\n  row ") == 3
    assert "  and 997 more" in said.output


def test_a_file_that_would_be_refused_says_why_and_how_it_is_mapped(
    paths: Paths, tmp_path: Path
) -> None:
    before = DAY - dt.timedelta(days=1)
    earlier = [decision(n, decided_at=f"{before}T10:00:00Z") for n in range(1, 21)]
    deliver(paths, "a.csv", as_csv(earlier), before)
    take_in(paths, [before])
    rows = [
        {("made_at" if name == "decided_at" else name): value for name, value in row.items()}
        for row in spoiled()
    ]
    file = written(tmp_path, rows)
    found = check(file, paths)
    assert (found.accepted, found.quarantined) == (0, 31)
    assert "the delivery of 2026-02-28 had decided_at (text)" in found.refusals[0]
    assert "decided_at_is_present" not in {f.rule.name for f in found.findings}
    mapping = "select * rename (made_at as decided_at) from source"
    assert mapping in found.refusals[0]
    assert check(file, paths, mapping=mapping, channel="shopads").accepted == 29
    (tmp_path / "mapping.sql").write_text(mapping)
    said = command(paths, file, "--feed", "decisions", "--mapping", tmp_path / "mapping.sql")
    assert "31 rows, 29 accepted" in said.output
    with pytest.raises(SourceError, match="does not work"):
        check(file, paths, mapping="select nothing from source")


def test_a_share_of_bad_rows_that_refuses_a_delivery_refuses_the_file(
    paths: Paths, tmp_path: Path
) -> None:
    file = written(tmp_path, [decision(n, score=n + 1) for n in range(1, 11)])
    found = check(file, paths)
    assert "10 of 10 rows break critical rules" in found.refusals[0]
    assert found.accepted == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"\xff\xfe\x00", "is not UTF-8"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
        ("a.csv.gz", b"no gzip", "cannot be read"),
        ("a.txt", b"decision_id\n", "is no CSV, JSON lines or Parquet"),
        ("a.csv", b"a,a\n1,2\n", "names the column 'a' twice"),
        ("a.csv", b"a,b\n1,2\n", "lacks decision_id (text), decided_at (timestamp)"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    paths: Paths, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    done = command(paths, file, "--feed", "decisions", "--channel", "video")
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_the_channel_comes_from_the_path_or_from_the_rows(paths: Paths, tmp_path: Path) -> None:
    labels = written(tmp_path, [label(1)], "a.jsonl")
    assert check(labels, paths, "audit_labels").channel == "shopads"
    folder = tmp_path / "decisions" / "video" / str(DAY)
    folder.mkdir(parents=True)
    found = check(written(folder, [decision(1)]), paths)
    assert found.channel == "video"
    assert [finding.rule.name for finding in found.findings] == ["channel_is_the_deliverys"]
    unnamed = written(tmp_path, [decision(1, channel="shop")])
    with pytest.raises(InputError, match="does not say its channel; give --channel"):
        check(unnamed, paths)
    with pytest.raises(InputError, match="is no file"):
        check(tmp_path / "none.csv", paths)


def test_the_day_of_delivery_is_today_unless_said(paths: Paths, tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    file = written(tmp_path, [decision(1, decided_at=f"{now - dt.timedelta(days=1):%F}T10:00Z")])
    assert check(file, paths, day=None).findings == []
    rules = [finding.rule.name for finding in check(file, paths).findings]
    assert rules == ["decided_at_is_not_after_delivery"]


def test_a_file_at_an_address_is_checked_where_it_lies(paths: Paths) -> None:
    with fsspec.open("memory://checked/a.jsonl", "wb") as file:
        file.write(as_jsonl(spoiled()))
    assert check("memory://checked/a.jsonl", paths).accepted == 29
    with pytest.raises(InputError, match="names 0 files"):
        check("memory://checked/b.jsonl", paths)
