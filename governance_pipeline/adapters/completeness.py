"""What the newest day lacks: deliveries that usually come and did not, or were refused."""

import datetime as dt
from pathlib import Path

from governance_pipeline.adapters import manifests
from governance_pipeline.feeds import CHANNELS, FEEDS

USUAL_DAYS = 28
USUAL_SHARE = 0.5


def newest_inputs(lake: Path) -> tuple[dt.date | None, list[str]]:
    """Return the last date on which anything was delivered, and what is missing on it."""
    names = [path.stem for path in (lake / "manifests").glob("*/*/[0-9]*.json")]
    if not names:
        return None, []
    day = dt.date.fromisoformat(max(names))
    return day, missing_on(lake, day)


def missing_on(lake: Path, day: dt.date) -> list[str]:
    """Name every delivery that is missing on a day, in the order of the feeds.

    A delivery is expected where it came on at least half of the 28 days before.
    """
    said = []
    for feed in FEEDS:
        for channel in CHANNELS:
            found = manifests.read(lake, feed, channel, day)
            if found is None:
                if _came_before(lake / "manifests" / feed / channel, day) >= USUAL_SHARE:
                    said.append(f"{feed} of {channel} was not delivered")
            elif found.state == "refused":
                said.append(f"{feed} of {channel} was refused: {found.refusal}")
    return said


def _came_before(folder: Path, day: dt.date) -> float:
    before = (day - dt.timedelta(days=n) for n in range(1, USUAL_DAYS + 1))
    return sum((folder / f"{earlier}.json").exists() for earlier in before) / USUAL_DAYS
