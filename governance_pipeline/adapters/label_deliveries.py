"""Labels that the pipeline delivers to itself: reviewers' answers, in the landing folder."""

import datetime as dt
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from governance_pipeline.adapters import landing, manifests
from governance_pipeline.adapters.lake import make_durable
from governance_pipeline.errors import SourceError
from governance_pipeline.paths import Paths

FEED = "audit_labels"
Label = dict[str, str]


@dataclass(frozen=True)
class _Known:
    """What was said before under a label's id, and on which delivery date."""

    verdict: str
    labelled_at: dt.datetime
    day: dt.date


def deliver_labels(paths: Paths, labels: Sequence[Label]) -> dict[tuple[str, dt.date], int]:
    """Write what is new among labels, one file per channel, and return how many of each.

    All files are written before the first gets its name.

    Args:
        paths: The home.
        labels: Columns of the feed `audit_labels`; another verdict under a known id corrects it.

    Raises:
        SourceError: If the home reads labels from somewhere else than its landing folder.
    """
    before = _known_labels(paths, {label["label_id"] for label in labels})
    by_channel = defaultdict(list)
    for label in sorted(labels, key=lambda label: label["label_id"]):
        if not _is_known(label, before):
            by_channel[label["channel"]].append(label)
    config = landing.load_sources(paths.governance_yaml)
    delivered, renames = {}, []
    for channel, own in by_channel.items():
        for source in config.sources:
            if source.feed == FEED and source.channel in (None, channel):
                raise SourceError(
                    f"labels of {channel} are read from {source.path}, so answers in landing would"
                    " never be counted; deliver them there"
                )
        day = _delivery_date(paths, channel, own, before)
        content = "".join(json.dumps(label, ensure_ascii=False) + "\n" for label in own)
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        target = paths.landing / FEED / channel / day.isoformat() / f"worklist-{digest}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        fresh.write_text(content, encoding="utf-8")
        renames.append((fresh, target))
        delivered[channel, day] = len(own)
    make_durable([fresh for fresh, _ in renames])
    for fresh, target in renames:
        fresh.replace(target)
    return delivered


def moment(text: str) -> dt.datetime | None:
    """Return a time as UTC, which it is without a zone; None if the text is none."""
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(dt.UTC) if at.tzinfo else at.replace(tzinfo=dt.UTC)


def _known_labels(paths: Paths, wanted: set[str]) -> dict[str, _Known]:
    """Return what was delivered under these ids, taken in or still waiting in landing."""
    found: dict[str, _Known] = {}
    for file in sorted((paths.landing / FEED).glob("*/*/worklist-*.jsonl")):
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            label = json.loads(line)
            at = moment(label["labelled_at"])
            if label["label_id"] in wanted and at is not None:
                day = dt.date.fromisoformat(file.parent.name)
                _keep_latest(found, label["label_id"], _Known(label["verdict"], at, day))
    files = manifests.files_of(paths.lake, manifests.read_feed(paths.lake, FEED), FEED)
    if files and wanted:
        with duckdb.connect() as connection:
            taken = connection.execute(
                "select label_id, verdict, labelled_at, delivery_date from read_parquet($files)"
                " where label_id in (select unnest($wanted::varchar[]))",
                {"files": [str(f) for f in files], "wanted": sorted(wanted)},
            ).fetchall()
        for label_id, verdict, at, day in taken:
            _keep_latest(found, label_id, _Known(verdict, at.replace(tzinfo=dt.UTC), day))
    return found


def _keep_latest(found: dict[str, _Known], label_id: str, known: _Known) -> None:
    if label_id not in found or known.day >= found[label_id].day:
        found[label_id] = known


def _is_known(label: Label, before: Mapping[str, _Known]) -> bool:
    known = before.get(label["label_id"])
    return (
        known is not None
        and known.verdict == label["verdict"]
        and known.labelled_at == moment(label["labelled_at"])
    )


def _delivery_date(
    paths: Paths, channel: str, labels: Sequence[Label], before: Mapping[str, _Known]
) -> dt.date:
    """Return the first date not taken in yet that is after all that these labels correct."""
    one = dt.timedelta(days=1)
    days = [dt.date.fromisoformat(label["labelled_at"][:10]) for label in labels]
    days += [before[i].day + one for label in labels if (i := label["label_id"]) in before]
    taken = manifests.read_feed(paths.lake, FEED)
    days += [m.delivery_date + one for m in taken if m.channel == channel]
    return max(days)
