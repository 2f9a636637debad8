"""Taking in again what was turned away, once its rule, its mapping or its file was mended."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from governance_pipeline.adapters import manifests
from governance_pipeline.adapters.intake import intake_range
from governance_pipeline.adapters.landing import load_sources
from governance_pipeline.adapters.manifests import Manifest, Release
from governance_pipeline.adapters.suites import load_suite
from governance_pipeline.adapters.verdicts import Key
from governance_pipeline.errors import InputError
from governance_pipeline.feeds import FEEDS
from governance_pipeline.settings import EXPECTATIONS, Settings


@dataclass(frozen=True)
class Outcome:
    """What a release made of one delivery that had rows turned away or was refused."""

    before: Manifest
    after: Manifest

    @property
    def was_judged(self) -> bool:
        """Whether anything had changed, so that the delivery was judged anew."""
        return self.after.restatements > self.before.restatements

    @property
    def stays(self) -> str:
        """Why rows are still turned away, in one sentence; empty if none is."""
        after = self.after
        if after.refusal is not None:
            said = after.refusal
        elif after.rows_quarantined:
            said = "; ".join(
                f"{rule.rule} turns away {rule.failed_rows} of {after.rows_delivered} rows"
                for rule in after.rules
                if rule.severity == "critical" and not rule.passed and rule.failed_rows
            )
        else:
            return ""
        return said if self.was_judged else f"neither its files nor its rules changed: {said}"


def release_rows(
    settings: Settings,
    *,
    feed: str | None = None,
    channel: str | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    despite: str | None = None,
    reason: str | None = None,
    suites: Path = EXPECTATIONS,
) -> list[Outcome]:
    """Judge deliveries that had rows turned away anew, and commit them like a restatement.

    What is judged is what lies in landing now, or was kept of it, by the suite and the mapping as
    they are now. If none of these changed a delivery is left as it is, so releasing twice changes
    nothing.

    Args:
        settings: The home and the engine's limits.
        feed: Only deliveries of this feed.
        channel: Only deliveries of this channel.
        first: Only deliveries from this day on.
        last: Only deliveries up to this day.
        despite: Let deliveries in that break this critical rule on whole deliveries.
        reason: Why they are right nonetheless.
        suites: Folder of the suites.

    Returns:
        What became of each delivery with something in the quarantine, by feed, channel and day.

    Raises:
        InputError: If `despite` names no critical rule on whole deliveries.
    """
    outcomes = []
    sources = load_sources(settings.paths.governance_yaml).sources
    for name in FEEDS if feed is None else [feed]:
        wanted = _turned_away(settings.paths.lake, name, channel, first, last)
        releases = _releases(wanted, suites / f"{name}.yaml", despite, reason)
        if not wanted:
            continue
        made = intake_range(
            name,
            sorted({channel for channel, _ in wanted}),
            sorted({day for _, day in wanted}),
            paths=settings.paths,
            sources=sources,
            run_id="governance feed release",
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            suites=suites,
            only=releases,
        )
        after = {(m.channel, m.delivery_date): m for m in made}
        outcomes += [Outcome(before, after.get(key, before)) for key, before in wanted.items()]
    return outcomes


def _turned_away(
    lake: Path, feed: str, channel: str | None, first: dt.date | None, last: dt.date | None
) -> dict[Key, Manifest]:
    return {
        (m.channel, m.delivery_date): m
        for m in manifests.read_feed(lake, feed)
        if (m.rows_quarantined or m.refusal)
        and channel in (None, m.channel)
        and (first or m.delivery_date) <= m.delivery_date <= (last or m.delivery_date)
    }


def _releases(
    wanted: Mapping[Key, Manifest], suite: Path, despite: str | None, reason: str | None
) -> dict[Key, Release | None]:
    if despite is None:
        return dict.fromkeys(wanted)
    known = [r.name for r in load_suite(suite).set_rules if r.severity == "critical"]
    if despite not in known:
        raise InputError(
            f"{despite} is no rule that refuses whole deliveries of {suite.stem};"
            f" those are {', '.join(known)}"
        )
    now = dt.datetime.now(dt.UTC)
    releases: dict[Key, Release | None] = {}
    for key, manifest in wanted.items():
        before = manifest.released.rules if manifest.released else []
        is_new = despite not in before and manifest.refusal is not None
        rules = sorted({*before, despite})
        releases[key] = (
            Release(rules=rules, reason=reason or "", released_at=now) if is_new else None
        )
    return releases
