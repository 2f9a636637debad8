"""The five feeds: their columns, types and keys, said once for reading, rules and empty files."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

CHANNELS = ("shoptab", "campaigns", "shopads", "affiliate", "video", "lives")
ABOUT_DECISIONS = ("audit_labels", "appeals")
"""The feeds whose rows speak of decisions, and wait for them."""
CLOCKS_DIFFER = dt.timedelta(days=1)
"""By how much a time that somebody gave without its zone, or by a wrong clock, may be off."""


@dataclass(frozen=True)
class Feed:
    """The contract of one feed.

    `columns` gives each column's DuckDB type; `required` must be in every delivered file, the
    others may be missing and are null then; `event_at` dates a row that its source does not;
    `computed` are columns that only the feed's suite sees, as SQL.
    """

    name: str
    key: str | None
    event_at: str
    columns: Mapping[str, str]
    required: tuple[str, ...]
    computed: Mapping[str, str] = field(default_factory=dict)


def _feed(name: str, key: str | None, event_at: str, required: str, optional: str) -> Feed:
    columns = dict(word.split(":") for word in f"{required} {optional}".split())
    names = tuple(word.split(":")[0] for word in required.split())
    return Feed(name, key, event_at, columns, names)


# Nulls never equal each other, so a key that may have nulls in it is written out.
ROW_KEY = (
    "concat_ws('|', date, "
    + ", ".join(f"coalesce({name}, '')" for name in ("category", "market", "experiment_arm"))
    + ")"
)


FEEDS: Mapping[str, Feed] = {
    feed.name: feed
    for feed in (
        _feed(
            "decisions",
            "decision_id",
            "decided_at",
            "decision_id:varchar decided_at:timestamp channel:varchar strategy_id:varchar "
            "strategy_version:integer environment:varchar item_id:varchar is_fired:boolean "
            "action:varchar",
            "item_type:varchar seller_id:varchar category:varchar market:varchar score:double "
            "automated_detection:boolean automated_decision:varchar reach:bigint gmv:double "
            "experiment_arm:varchar sample_stratum:varchar inclusion_probability:double",
        ),
        _feed(
            "audit_labels",
            "label_id",
            "labelled_at",
            "label_id:varchar channel:varchar reviewer_id:varchar labelled_at:timestamp "
            "verdict:varchar source:varchar",
            "decision_id:varchar item_id:varchar policy:varchar policy_version:varchar "
            "golden_verdict:varchar",
        ),
        _feed(
            "appeals",
            "appeal_id",
            "submitted_at",
            "appeal_id:varchar decision_id:varchar channel:varchar submitted_at:timestamp "
            "outcome:varchar",
            "decision_made_at:timestamp decided_at:timestamp ground:varchar",
        ),
        _feed(
            "feedback",
            "feedback_id",
            "submitted_at",
            "feedback_id:varchar channel:varchar submitted_at:timestamp kind:varchar",
            "score:double theme:varchar category:varchar market:varchar item_id:varchar "
            "seller_id:varchar decision_id:varchar",
        ),
        replace(
            _feed(
                "activity",
                None,
                "date",
                "channel:varchar date:date impressions:bigint orders:bigint",
                "category:varchar market:varchar experiment_arm:varchar refunds:bigint gmv:double",
            ),
            computed={"row_key": ROW_KEY},
        ),
    )
}

DERIVED: Mapping[str, str] = {
    "delivery_date": "date",
    "decision_date": "date",
    "policy": "varchar",
    "score_bin": "smallint",
    "fine_bin": "smallint",
    "stratum": "varchar",
    "is_unit": "boolean",
    "audit_probability": "double",
    "is_sampled": "boolean",
    "accepted_file": "integer",
    "place": "bigint",
}
"""What intake adds to a decision; the last two say where its row is: in which of its delivery's
accepted files, and after how many other rows.

A draw is kept of every decision, though only a unit counts: another delivery may make another
decision the unit of its item, and that one must have been drawn as if it always was."""

THIN: Mapping[str, tuple[str, ...]] = {
    "counted_decisions": (
        "delivery_date", "decision_date", "strategy_id", "strategy_version", "channel",
        "environment", "category", "market", "is_fired", "action", "stratum", "score_bin",
        "fine_bin", "reach", "gmv", "audit_probability", "is_unit", "is_sampled", "accepted_file",
        "place",
    ),
    "sampled_decisions": (
        "decision_id", "channel", "decided_at", "decision_date", "delivery_date", "strategy_id",
        "strategy_version", "environment", "item_id", "seller_id", "category", "market", "policy",
        "action", "is_fired", "score_bin", "fine_bin", "stratum", "is_unit",
        "inclusion_probability", "reach", "gmv", "plan_hash",
    ),
    "actioned_decisions": (
        "decision_id", "channel", "decision_date", "delivery_date", "strategy_id",
        "strategy_version", "environment", "item_id", "action",
    ),
}  # fmt: skip
"""The thin tables, written in a delivery's own commit: what marts count every decision by, and what
labels, appeals and other strategies' actions are joined to."""


def accepted_columns(table: str) -> dict[str, str]:
    """Return the columns and types of a table of the lake, a feed or a thin one.

    Of accepted decisions these are the contract's columns and no more, so that a delivered file
    may be one of theirs; what intake adds to them is in `counted_decisions`.
    """
    if table in THIN:
        known = {**FEEDS["decisions"].columns, **DERIVED, "plan_hash": "varchar"}
        return {name: known[name] for name in THIN[table]}
    if table == "decisions":
        return dict(FEEDS[table].columns)
    return {**FEEDS[table].columns, "delivery_date": "date"}
