"""governance.yaml and what is found where."""

import datetime as dt
from pathlib import Path

import pytest

from governance_pipeline.adapters.landing import Source, discover, form_of, load_sources
from governance_pipeline.errors import SourceError

DAY = dt.date(2026, 3, 1)


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"), ("a.CSV.GZ", "csv"), ("a.csv.zst", "csv"), ("a.json", "json"),
        ("a.jsonl.gz", "json"), ("a.ndjson", "json"), ("a.parquet", "parquet"), ("a.txt", None),
    ],
)  # fmt: skip
def test_the_name_says_the_form(name: str, form: str | None) -> None:
    assert form_of(Path(name)) == form


def test_a_folder_is_a_delivery_and_no_folder_is_none(tmp_path: Path) -> None:
    write(tmp_path / "decisions" / "video" / "2026-03-01" / "a.csv")
    write(tmp_path / "decisions" / "video" / "2026-03-01" / ".a.csv")
    (tmp_path / "decisions" / "video" / "2026-03-02").mkdir()
    days = [DAY + dt.timedelta(days=n) for n in range(3)]
    found = discover("decisions", ["video", "lives"], days, tmp_path, [])
    assert [(d.channel, d.day, [f.name for f in d.files]) for d in found] == [
        ("video", days[0], ["a.csv"]), ("video", days[1], []),
    ]  # fmt: skip


def test_a_source_replaces_the_landing_folder_of_its_channel(tmp_path: Path) -> None:
    write(tmp_path / "decisions" / "video" / "2026-03-01" / "a.csv")
    write(tmp_path / "logs" / "video-2026-03-01-x.csv")
    source = Source(feed="decisions", path=str(tmp_path / "logs" / "{channel}-{date}-*.csv"))
    found = discover("decisions", ["video"], [DAY], tmp_path, [source])
    assert [f.name for d in found for f in d.files] == ["video-2026-03-01-x.csv"]
    other = source.model_copy(update={"feed": "appeals"})
    found = discover("decisions", ["video"], [DAY], tmp_path, [other])
    assert [f.name for d in found for f in d.files] == ["a.csv"]


def test_a_source_that_matches_nothing_is_said(tmp_path: Path) -> None:
    source = Source(
        feed="decisions", channel="video", path=str(tmp_path / "*.csv"), split_by="decided_at"
    )
    with pytest.raises(SourceError, match="matches no file"):
        discover("decisions", ["video"], [DAY], tmp_path, [source])


def test_the_home_says_its_calendar_and_sources(tmp_path: Path) -> None:
    file = write(
        tmp_path / "governance.yaml",
        "calendar: {start: 2026-03-01, end: 2026-03-09}\n"
        "sources:\n- {feed: appeals, path: 'x/{channel}/{date}.csv'}\n",
    )
    config = load_sources(file)
    assert (config.calendar.start, config.calendar.end) == (DAY, dt.date(2026, 3, 9))
    assert [source.feed for source in config.sources] == ["appeals"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("calendar: [", "is not YAML"),
        ("sources: []", "calendar: Field required"),
        ("calendar: {start: soon}", "calendar.start"),
        ("calendar: {start: 2026-03-01}\nsuorces: []", "suorces"),
        ("calendar: {start: 2026-03-01}\nsources: [{feed: likes, path: x}]", "feed likes is not"),
        (
            "calendar: {start: 2026-03-01}\nsources: [{feed: appeals, path: '{date}'}]",
            "give channel",
        ),
        (
            "calendar: {start: 2026-03-01}\nsources: [{feed: appeals, path: '{channel}'}]",
            "split_by",
        ),
    ],
)
def test_a_wrong_home_file_is_named_with_its_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        load_sources(write(tmp_path / "governance.yaml", text))


def test_a_missing_home_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="governance init"):
        load_sources(tmp_path / "governance.yaml")
