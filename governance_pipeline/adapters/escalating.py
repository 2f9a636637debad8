"""Acting on escalations: load, decide, append; and the pass that lets time go by for all."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from governance_pipeline.adapters.ops_store import CHUNK, Batch, Message, OpsStore
from governance_pipeline.adapters.registry_store import last_applied
from governance_pipeline.domain.commands import Command, Note, Open, Reopen
from governance_pipeline.domain.deciding import act, advance
from governance_pipeline.domain.desk import Desk, desk_of
from governance_pipeline.domain.escalation import Escalation, Event
from governance_pipeline.domain.findings import Finding
from governance_pipeline.domain.fingerprints import Match, fingerprint, match, new_id
from governance_pipeline.domain.opening import completed
from governance_pipeline.errors import RefusedError, RegistryError
from governance_pipeline.paths import Paths

Announce = Callable[[Escalation, Sequence[Event], Desk], Sequence[Message]]
"""What leaves because of events: given the state after them, the events, and the policy."""


def in_silence(_state: Escalation, _events: Sequence[Event], _desk: Desk) -> Sequence[Message]:
    """Announce nothing."""
    return ()


@dataclass(frozen=True)
class Passed:
    """What a pass did: escalations looked at, those that changed, and those changed meanwhile."""

    looked_at: int
    changed: int
    late: Sequence[str]


def open_desk(paths: Paths) -> Desk:
    """Return the desk of the register that runs.

    Raises:
        RegistryError: If none was applied yet.
    """
    registry = last_applied(paths.lake)
    if registry is None:
        raise RegistryError("no register was applied yet; run `governance registry apply`")
    return desk_of(registry)


def act_on(
    store: OpsStore,
    desk: Desk,
    escalation_id: str,
    command: Command,
    now: dt.datetime,
    announce: Announce = in_silence,
) -> tuple[Escalation, Sequence[Event]]:
    """Do what a command asks, and return the state after it with the events that led there.

    Args:
        store: Where the escalation is.
        desk: The policy.
        escalation_id: Its id or the beginning of it; of a new one the whole id.
        command: What is asked.
        now: In UTC.
        announce: What leaves because of it, in the same transaction.

    Raises:
        RefusedError: If the rules do not allow it.
        ConflictError: If somebody else acted meanwhile.
        InputError: If there is no such escalation.
    """
    is_new = isinstance(command, Open)
    state = store.find(escalation_id) if is_new else store.load(escalation_id)
    after, events = act(state, command, desk, now)
    if events:
        expected = state.version if state else 0
        after = store.append(after.escalation_id, expected, events, announce(after, events, desk))
    return after, events


def take_in(
    store: OpsStore,
    desk: Desk,
    found: Finding,
    actor: str,
    reason: str,
    now: dt.datetime,
    announce: Announce = in_silence,
) -> tuple[Match, Escalation, Sequence[Event]]:
    """Open an escalation of a finding, or note it on the one that it belongs to.

    Raises:
        RefusedError: If a person turned the same finding down lately.
    """
    found = completed(found, desk)
    known = {state.escalation_id: state for state in store.open_states()}
    known |= {s.escalation_id: s for s in store.with_fingerprints([fingerprint(found)])}
    matched = match(found, known.values(), desk, now)
    if matched.escalation_id is None:
        key = new_id(found)
        command: Command = Open(actor=actor, reason=reason, escalation_id=key, finding=found)
        return matched, *act_on(store, desk, key, command, now, announce)
    if matched.action == "ignored":
        raise RefusedError(
            f"{matched.escalation_id} is the same finding and was "
            f"{known[matched.escalation_id].status} lately; see its reason with `governance "
            f"escalations show {matched.escalation_id}`"
        )
    events: list[Event] = []
    if matched.action == "reopen":
        reopening = Reopen(actor=actor, reason=reason)
        _, done = act_on(store, desk, matched.escalation_id, reopening, now, announce)
        events += done
    noting = Note(actor=actor, reason=reason, finding=found)
    state, done = act_on(store, desk, matched.escalation_id, noting, now, announce)
    return matched, state, [*events, *done]


def let_time_pass(
    store: OpsStore,
    desk: Desk,
    now: dt.datetime,
    announce: Announce = in_silence,
    *,
    everything: bool = False,
) -> Passed:
    """Do what escalations do by themselves up to `now`: reminders, ends of pauses, silence.

    Only those are looked at whose time has come; `everything` looks at all that go on, as is due
    after the policy changed.
    """
    looked_at, changed, late = 0, 0, []
    states = store.open_states() if everything else store.waking(now)
    for some in _in_chunks(states):
        looked_at += len(some)
        batches = []
        for state in some:
            after, events = advance(state, desk, now)
            if events:
                messages = announce(after, events, desk)
                batches.append(Batch(state.escalation_id, state.version, events, messages))
        done, missed = store.append_all(batches)
        changed += len(done)
        late += missed
    return Passed(looked_at, changed, late)


def _in_chunks(states: Iterable[Escalation]) -> Iterable[list[Escalation]]:
    # Read whole before anything is written: a reader would hold the snapshot it began with.
    waiting = list(states)
    for start in range(0, len(waiting), CHUNK):
        yield waiting[start : start + CHUNK]
