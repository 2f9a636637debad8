"""What arrived: complete once two looks find it alike, and handed over once."""

import datetime as dt
import os
import time
from pathlib import Path

from governance_pipeline.adapters.arrivals import CLOCKS_DIFFER_NS, Looked, look
from governance_pipeline.feeds import CHANNELS, FEEDS

DATES = {"2026-03-01", "2026-03-02"}
Found = dict[str, list[str]]


class Watch:
    """One sensor's looks, one after another."""

    def __init__(self, root: Path) -> None:
        self.root, self.looked, self.now = root, Looked(), time.time_ns()

    def file(self, name: str, text: str = "x") -> Path:
        file = self.root / "landing" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def look(self, later: int = 0, dates: set[str] = DATES) -> Found:
        self.now = max(self.now, time.time_ns()) + later
        # A cursor is text, so every look starts from what the one before wrote down.
        before = Looked.model_validate_json(self.looked.model_dump_json())
        self.looked, found = look(
            self.root / "lake", self.root / "landing", before, self.now, dates
        )
        return {date: sorted(assets) for date, assets in found.items()}


def test_a_file_that_two_looks_find_alike_is_handed_over_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    assert watch.look() == {}
    watch.file("decisions/video/2026-03-01/a.csv")
    assert [watch.look() for _ in range(4)] == [{}, {"2026-03-01": ["video/decisions"]}, {}, {}]


def test_a_file_that_grows_waits_until_it_stops(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    file = watch.file("appeals/video/2026-03-01/a.csv")
    assert watch.look() == {}
    for _ in range(3):
        with file.open("a") as stream:
            stream.write("more")
        assert watch.look() == {}
    assert watch.look() == {"2026-03-01": ["appeals"]}


def test_a_file_being_written_under_another_name_starts_nothing(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    file = watch.file("decisions/video/2026-03-01/a.csv.tmp")
    os.utime(file, (1, 1))
    assert [watch.look() for _ in range(3)] == [{}, {}, {}]
    file.rename(file.with_suffix(""))
    assert [watch.look() for _ in range(3)] == [{}, {"2026-03-01": ["video/decisions"]}, {}]


def test_a_delivery_written_anew_is_handed_over_again(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.file("decisions/video/2026-03-01/a.csv")
    watch.look()
    assert watch.look()
    watch.look(later=2 * CLOCKS_DIFFER_NS)
    watch.file("decisions/video/2026-03-01/a.csv", "anew")
    os.utime(tmp_path / "landing/decisions/video/2026-03-01/a.csv", ns=(watch.now, watch.now))
    assert [watch.look() for _ in range(3)] == [{}, {"2026-03-01": ["video/decisions"]}, {}]


def test_what_comes_together_starts_one_run_a_date(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for name in ("decisions/video", "decisions/lives", "audit_labels/video", "audit_labels/lives"):
        for date in sorted(DATES):
            watch.file(f"{name}/{date}/a.csv")
    watch.look()
    assets = ["audit_labels", "lives/decisions", "video/decisions"]
    assert watch.look() == dict.fromkeys(sorted(DATES), assets)


def test_a_date_that_no_run_can_be_started_for_waits(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.file("decisions/video/2026-03-03/a.csv")
    watch.file("decisions/video/notes/a.csv")
    assert [watch.look(later=2 * CLOCKS_DIFFER_NS) for _ in range(3)] == [{}, {}, {}]
    assert watch.look(dates={"2026-03-03"}) == {"2026-03-03": ["video/decisions"]}


def test_ten_thousand_files_are_looked_through_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    for feed in FEEDS:
        for channel in CHANNELS:
            for day in range(34):
                folder = (
                    tmp_path / "landing" / feed / channel / str(dt.date.fromordinal(739000 + day))
                )
                folder.mkdir(parents=True)
                for number in range(10):
                    (folder / f"{number}.csv").touch()
    looked = Looked(since=time.time_ns() + 1)
    spent = []
    for _ in range(5):
        began = time.process_time()
        _, found = look(tmp_path, tmp_path / "landing", looked, time.time_ns(), DATES)
        spent.append(time.process_time() - began)
        assert found == {}
    assert min(spent) < 0.1
