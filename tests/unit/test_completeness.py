"""What the newest day lacks is named, and what never came regularly is not missed."""

import datetime as dt
from pathlib import Path

import pytest

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.completeness import missing_on, newest_inputs
from governance_pipeline.adapters.manifests import Manifest, State

DAY = dt.date(2026, 4, 1)


def deliver(lake: Path, channel: str, day: dt.date, state: State = "accepted") -> None:
    manifests.commit(
        lake,
        Manifest(
            feed="decisions",
            channel=channel,
            delivery_date=day,
            state=state,
            rows_delivered=1,
            rows_accepted=1,
            rows_quarantined=0,
            refusal="breaks critical rules" if state == "refused" else None,
            suite_hash="s",
            committed_at=dt.datetime(2026, 4, 1, tzinfo=dt.UTC),
            run_id="r",
        ),
    )


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two channels that deliver daily, one that came once, and the newest day empty."""
    for before in range(1, 29):
        deliver(tmp_path, "video", DAY - dt.timedelta(days=before))
        deliver(tmp_path, "lives", DAY - dt.timedelta(days=before))
    deliver(tmp_path, "shopads", DAY - dt.timedelta(days=3))
    return tmp_path


def test_a_usual_delivery_that_did_not_come_is_named(lake: Path) -> None:
    deliver(lake, "lives", DAY)
    assert newest_inputs(lake) == (DAY, ["decisions of video was not delivered"])


def test_a_refused_delivery_is_named_with_its_reason(lake: Path) -> None:
    deliver(lake, "lives", DAY)
    deliver(lake, "video", DAY, "refused")
    assert missing_on(lake, DAY) == ["decisions of video was refused: breaks critical rules"]


def test_an_empty_delivery_is_a_delivery(lake: Path) -> None:
    deliver(lake, "lives", DAY, "empty")
    deliver(lake, "video", DAY)
    assert missing_on(lake, DAY) == []


def test_a_lake_without_deliveries_misses_nothing(tmp_path: Path) -> None:
    assert newest_inputs(tmp_path) == (None, [])
