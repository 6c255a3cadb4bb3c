"""Who was denied lately: what the kernel has recorded, with the names of now.

Reads everything and writes nothing. What runs is asked of Docker, or else what was last seen of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from dockerfw.errors import DockerfwError, Failed
from dockerfw.model.denial import Denial
from dockerfw.model.inventory import Inventory
from dockerfw.operations.policy_in_force import NOTHING_APPLIED, read_policy_in_force
from dockerfw.operations.reconcile import fitted, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.report.denied import NOT_ASKED, Row, Sort, asked_for, since
from dockerfw.report.denied_text import Denied, newer
from dockerfw.report.let_in import Reader
from dockerfw.rules.names import phase_of
from dockerfw.rules.ruleset import RECORDED_FOR

SHOWN = 10
"""So many rows are for a first look."""
PAUSE = 1.0
"""Seconds between two looks at the kernel."""


@dataclass(frozen=True, slots=True)
class Question:
    """``seconds`` is how far to look back; ``all``: every row, and not the first few alone."""

    seconds: int = RECORDED_FOR
    sort: Sort = "newest"
    all: bool = False


def read_denied(session: Session, asked: Question) -> Denied:
    """Return what was denied, or while observing would have been. Raises `Failed`."""
    _require_records(session)
    now = session.clock.time()
    found = since(session.kernel.denials(), now - asked.seconds, asked.sort)
    first = found if asked.all else found[:SHOWN]
    reader, observing = _reader(session, first)
    rows = tuple(map(reader.row, first))
    return Denied(
        found,
        rows,
        now,
        asked.seconds,
        asked.sort,
        observing=observing,
        dropped_since=_dropped_since(session, found),
    )


def follow(session: Session) -> Iterator[Row]:
    """Return what is denied from this call on, as long as somebody takes it. Raises `Failed`."""
    _require_records(session)
    return _following(session, session.kernel.denials())


def _following(session: Session, before: tuple[Denial, ...]) -> Iterator[Row]:
    while True:
        session.clock.sleep(PAUSE)
        after = session.kernel.denials()
        news = newer(before, after)
        if news:
            # Who has come or gone meanwhile is asked only where there is something to name.
            reader, _ = _reader(session, news)
            yield from map(reader.row, news)
        before = after


def observing(session: Session) -> bool:
    """Return True if nothing is dropped."""
    return read_policy_in_force(session.store).policy.mode == "observe"


def seen_lately(session: Session) -> tuple[Denial, ...]:
    """Return what is recorded, for who can do without: nothing where it cannot be read."""
    try:
        return session.kernel.denials() if session.user() == 0 else ()
    except DockerfwError:
        return ()


def started(
    session: Session, denials: Iterable[Denial], inventory: Inventory
) -> Mapping[str, float]:
    """Return since when the containers run that have the addresses of denials now; nothing where
    there are none, or Docker does not tell.
    """
    wanted = asked_for(denials, inventory)
    with suppress(DockerfwError):
        return session.started(wanted) if wanted else NOT_ASKED
    return NOT_ASKED


def _dropped_since(session: Session, denials: Iterable[Denial]) -> float:
    """Return the Unix time since when these are dropped, and not only counted; 0: all of them
    were, as far as is known, or none is.
    """
    oldest = min((one.first for one in denials), default=session.clock.time())
    applied = session.store.policy.applied()
    number, since = (applied.number if applied else 0), 0.0
    for entry in reversed(session.store.history.entries()):
        if entry.number > number:
            continue
        try:
            mode = session.store.history.load(entry.number).parse().mode
        except DockerfwError:
            return 0.0
        if mode == "observe":
            return since
        since = entry.at
        if since <= oldest:  # older policies need no reading
            break
    return 0.0


def _require_records(session: Session) -> None:
    session.require_root()
    if any(phase_of(name) == "record" for name in session.kernel.read_set_headers()):
        return
    if read_policy_in_force(session.store).problem == NOTHING_APPLIED:
        raise Failed(
            f"{NOTHING_APPLIED}, so nobody is denied: `dockerfw init` prints a first policy, "
            "`dockerfw apply` puts it in force"
        )
    raise Failed("no record of denials is in the kernel: run `dockerfw apply`")


def _reader(session: Session, about: Iterable[Denial]) -> tuple[Reader, bool]:
    policy, _, problem = read_policy_in_force(session.store)
    if problem:
        session.notify(f"warning: {problem}")
    try:
        inventory = session.inventory(policy, warn=False)
    except DockerfwError as error:
        if session.named_by_user(error):
            raise
        session.notify(f"warning: names are those that were last seen: {error}")
        inventory = session.store.last_seen.inventory()
    facts = fitted(session.kernel.facts(), inventory)
    inventory = with_foreign_ports(inventory, facts)
    policy = policy.without_ended(session.clock.time())
    known = started(session, about, inventory)
    return Reader(policy, inventory, facts, known), policy.mode == "observe"
