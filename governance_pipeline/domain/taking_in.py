"""What a day's findings make of the escalations: opened, seen again, joined, reopened, gone."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from governance_pipeline.domain.commands import Clear, Command, Note, Open, Reopen
from governance_pipeline.domain.deciding import act
from governance_pipeline.domain.desk import PIPELINE, Desk
from governance_pipeline.domain.escalation import Escalation, Event
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import fingerprint, group_key, match, new_id
from governance_pipeline.domain.opening import completed
from governance_pipeline.domain.routing import holds
from governance_pipeline.errors import RefusedError

SEEN_AGAIN = ("occurrence", "joined", "inhibited", "reopen")
GONE = "no longer among the findings of its source"


@dataclass(frozen=True)
class Change:
    """What becomes of one escalation: its version before, its state after, what happened."""

    before: int
    after: Escalation
    events: Sequence[Event]


@dataclass
class TakenIn:
    """The changes by escalation, and how many findings became what."""

    changes: dict[str, Change] = field(default_factory=dict)
    became: Counter[str] = field(default_factory=Counter)


def take_in(
    found: Iterable[Finding],
    known: Iterable[Escalation],
    sources: Set[str],
    desk: Desk,
    now: dt.datetime,
) -> TakenIn:
    """Return what some findings make of the escalations.

    The same findings again change nothing: an escalation is opened once, a day is noted once, and
    what is not found any more is cleared once.

    Args:
        found: Everything that some sources find now, causes before what they explain.
        known: Every open escalation, and the ended ones with one of these findings or with one of
            these sources that has not gone yet.
        sources: The sources that were asked; of others nothing is cleared.
        desk: The policy.
        now: In UTC.
    """
    book = _Book(known, desk, now)
    prints = set()
    for finding in found:
        whole = completed(finding, desk)
        prints.add(fingerprint(whole))
        book.take(whole)
    for state in list(book.states.values()):
        for print_, seen in state.findings.items():
            is_gone = seen.finding.source in sources and print_ not in prints
            if is_gone and seen.cleared_on is None:
                clear = Clear(actor=PIPELINE, reason=GONE, fingerprint=print_, on=now.date())
                book.do(state.escalation_id, clear, "gone")
    return book.taken


class _Book:
    """The escalations as they stand within one intake, found by what a finding may share."""

    def __init__(self, known: Iterable[Escalation], desk: Desk, now: dt.datetime) -> None:
        self.desk, self.now = desk, now
        self.states: dict[str, Escalation] = {}
        self.by_key: dict[str, set[str]] = defaultdict(set)
        self.taken = TakenIn()
        for state in known:
            self._keep(state)

    def take(self, finding: Finding) -> None:
        """Let one finding become what it is."""
        found = match(finding, self._like(finding), self.desk, self.now)
        target = found.escalation_id
        if not finding.opens and found.action in ("open", "reopen"):
            self.taken.became["past"] += 1
        elif target is None:
            target = new_id(finding)
            reason = f"found by {finding.source}"
            opening = Open(actor=PIPELINE, reason=reason, escalation_id=target, finding=finding)
            self.do(target, opening, "opened")
        elif found.action in SEEN_AGAIN:
            grown = self._with_growth(finding, self.states[target])
            if found.action == "reopen":
                self.do(target, Reopen(actor=PIPELINE, reason=found.why), "reopened")
            is_new = self.do(target, Note(actor=PIPELINE, reason=found.why, finding=grown))
            self.taken.became[found.action if is_new else "known"] += 1
        else:
            self.taken.became[found.action] += 1

    def do(self, escalation_id: str, command: Command, counted: str | None = None) -> bool:
        """Do what a command asks, and say whether anything happened."""
        before = self.states.get(escalation_id)
        try:
            after, events = act(before, command, self.desk, self.now)
        except RefusedError:
            # Somebody acted since it was read, or it may not come back: tomorrow is a day too.
            self.taken.became["refused"] += 1
            return False
        if not events:
            return False
        earlier = self.taken.changes.get(escalation_id)
        version = before.version if before else 0
        self.taken.changes[escalation_id] = Change(
            earlier.before if earlier else version,
            after,
            [*(earlier.events if earlier else ()), *events],
        )
        self._keep(after)
        if counted:
            self.taken.became[counted] += 1
        return True

    def _keep(self, state: Escalation) -> None:
        self.states[state.escalation_id] = state
        for key in self._keys(state):
            self.by_key[key].add(state.escalation_id)

    def _keys(self, state: Escalation) -> Iterator[str]:
        yield from (f"print {print_}" for print_ in state.findings)
        yield f"group {group_key(state.finding, self.desk)}"
        for rule in self.desk.policy.dedupe.inhibitions:
            if holds(rule.cause, state.finding, self.desk):
                yield f"cause {rule.name} {_alike(state.finding, rule.same)}"

    def _like(self, finding: Finding) -> Iterator[Escalation]:
        """Yield the escalations that a finding may belong to: all others cannot match it."""
        wanted = [f"print {fingerprint(finding)}", f"group {group_key(finding, self.desk)}"]
        for rule in self.desk.policy.dedupe.inhibitions:
            wanted.append(f"cause {rule.name} {_alike(finding, rule.same)}")
        ids: set[str] = set().union(*(self.by_key.get(key, set()) for key in wanted))
        yield from (self.states[one] for one in ids)

    def _with_growth(self, finding: Finding, state: Escalation) -> Finding:
        """Return a finding with its exposure of the day before, if that was seen."""
        seen = state.findings.get(fingerprint(finding))
        is_next = seen is not None and finding.on - seen.last_on == dt.timedelta(days=1)
        if seen is None or not is_next or finding.exposure_before is not None:
            return finding
        return replace(finding, exposure_before=seen.finding.exposure)


def _alike(finding: Finding, names: Iterable[str]) -> str:
    return "|".join(str(getattr(finding, name)) for name in names)


def became(taken: TakenIn) -> Mapping[str, int]:
    """Return how many findings became what, the most first."""
    return dict(taken.became.most_common())
