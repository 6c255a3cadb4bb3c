"""A rule for a while: into ``conf.d/temporary.toml`` and in force, and out of both again.

Takes a policy file that is in force, and who is to reach what; gives the `Outcome` of an apply. The
file is written under the lock, right before the policy is: who is killed in between has a file that
differs from what is in force, and nothing open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from dockerfw.errors import Failed, UsageError
from dockerfw.model.policy import Allow, Policy
from dockerfw.operations.apply import Act, Outcome, Terms, put_in_force
from dockerfw.operations.confirm import refuse_while_unconfirmed, under_lock
from dockerfw.operations.plan import PolicyPlan, begin_plan
from dockerfw.operations.policy_in_force import NOTHING_APPLIED, read_policy_in_force
from dockerfw.operations.reconcile import fitted, with_foreign_ports
from dockerfw.operations.session import Session
from dockerfw.policy import temporary
from dockerfw.policy.document import Document
from dockerfw.policy.files import DROP_INS, PolicyText, collect, with_document
from dockerfw.policy.trust import shown_path
from dockerfw.report.explain.opening import opening
from dockerfw.report.explain.reader import Reader
from dockerfw.report.explain.ways import Ways
from dockerfw.report.temporary import Opening
from dockerfw.state.confirm import Pending
from dockerfw.state.durable import replace_file
from dockerfw.text import moment


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is to reach what, as the user wrote it, for how many seconds, and why."""

    source: str
    target: str
    seconds: int
    reason: str = ""


class _Files(NamedTuple):
    """A policy as it is on the disk, and the file of its temporary rules, which may be missing."""

    config: Path
    text: PolicyText
    path: Path
    document: Document

    @property
    def rules(self) -> tuple[tuple[temporary.Rule, Allow], ...]:
        """The rules of that file, with what they mean."""
        allows = self.text.parse().allows
        by_line = {a.origin.line: a for a in allows if a.origin.file == self.document.name}
        return tuple((rule, by_line[rule.line]) for rule in temporary.rules(self.document))


class _Ground(NamedTuple):
    """What a change was thought out on: the files, and the stamp of what was in force."""

    files: _Files
    in_force: object


@dataclass(frozen=True, slots=True)
class Hands:
    """How an act of `allow` and `end` is planned, agreed to and named; see `put_in_force`.

    ``agree`` None: nobody is asked, so that nothing else may be put in force beside it.
    """

    user: str
    agree: Callable[[PolicyPlan], None] | None = None
    ask: Callable[[Session, PolicyText], Callable[[], PolicyPlan]] = begin_plan


def allow(session: Session, config: Path, wish: Wish, hands: Hands) -> Outcome:
    """Write a rule that ends by itself, and put it in force.

    Raises `UsageError` for what cannot be read as source or target, `PolicyError` for a policy that
    is refused, and `Failed` as `put_in_force` does; nothing was written then.
    """
    ground = _ground(session, config, hands)
    files = ground.files
    lines = _lines(session, files.text.parse(), wish)
    now = session.clock.time()
    until = datetime.fromtimestamp(int(now) + wish.seconds, timezone.utc)
    reason = f": {wish.reason}" if wish.reason else ""
    note = f"{hands.user}, {moment(int(now))}{reason}"
    swept = temporary.without(files.document, _over(files, now))
    act = Act(hands.user, f"allow {wish.source} {wish.target}", wish.reason)
    return _put(session, ground, temporary.with_rule(swept, lines, until, note), hands, act)


def end(session: Session, config: Path, number: int, hands: Hands) -> Outcome:
    """Take the rule with this number, as `open_for_a_while` has it, out of the file and of force.

    Raises as `allow` does.
    """
    ground = _ground(session, config, hands)
    files = ground.files
    now = session.clock.time()
    if number not in (rule.number for rule, found in files.rules if _runs(found, now)):
        raise UsageError(f"there is no rule {number} to end: see dockerfw allow")
    document = temporary.without(files.document, {*_over(files, now), number})
    return _put(session, ground, document, hands, Act(hands.user, f"allow --end {number}"))


def open_for_a_while(session: Session, config: Path) -> tuple[Opening, ...]:
    """Return the rules that end by themselves and have not yet: first those of the file.

    Raises `PolicyError` and `UsageError` for files that cannot be read.
    """
    session.require_root()
    now = session.clock.time()
    files = _read(config)
    in_force = [a for a in read_policy_in_force(session.store).policy.allows if _runs(a, now)]
    found = [
        Opening(allow, rule.number, rule.note, in_force=any(_same(allow, a) for a in in_force))
        for rule, allow in files.rules
        if _runs(allow, now)
    ]
    others = (a for a in in_force if not any(_same(a, one.allow) for one in found))
    return (*found, *(Opening(allow, None, "", in_force=True) for allow in others))


def _ground(session: Session, config: Path, hands: Hands) -> _Ground:
    """Return the policy as it is on the disk, if it may be put in force with one rule changed."""
    session.require_root()
    with under_lock(session):
        refuse_while_unconfirmed(session)
        stamp = session.store.policy.stamp()
    files = _read(config)
    _, in_force, problem = read_policy_in_force(session.store)
    if problem == NOTHING_APPLIED:
        raise Failed(f"{problem}, so there is nothing to open: dockerfw init, then dockerfw apply")
    if in_force is None:
        raise Failed(f"nothing is opened now: {problem}")
    if in_force.documents != files.text.documents:
        if hands.agree is None:
            raise Failed(
                "the files of the policy differ from what is in force, and would be put in force "
                "too: see dockerfw plan, then dockerfw apply"
            )
        session.notify(
            "note: the files of the policy differ from what is in force: all of that comes with it"
        )
    return _Ground(files, stamp)


def _read(config: Path) -> _Files:
    config = config.absolute()
    text = collect(config, for_kernel=True)
    path = config.parent / DROP_INS / temporary.FILE
    name = shown_path(str(path))
    found = (document for document in text.documents if document.name == name)
    return _Files(config, text, path, next(found, Document(name, b"")))


def _runs(allow: Allow, now: float) -> bool:
    return allow.end is not None and not allow.ended(now)


def _over(files: _Files, now: float) -> set[int]:
    return {rule.number for rule, allow in files.rules if allow.ended(now)}


def _same(one: Allow, other: Allow) -> bool:
    """Return True for the same words, wherever they stand: lines move when other rules go."""
    return replace(one, origin=other.origin, sources=other.sources) == other


def _lines(session: Session, policy: Policy, wish: Wish) -> tuple[str, ...]:
    inventory = session.inventory(policy, warn=False)
    facts = fitted(session.kernel.facts(), inventory)
    inventory = with_foreign_ports(inventory, facts)
    reader = Reader(inventory, facts.addresses, Ways(inventory, facts), dict(policy.named))
    return opening(reader, wish.source, wish.target)


def _put(session: Session, ground: _Ground, document: Document, hands: Hands, act: Act) -> Outcome:
    """Put the policy in force with this document in it; the file is written right before."""
    files = ground.files

    def write() -> None:
        if session.store.policy.stamp() != ground.in_force:
            raise Failed("what is in force was changed meanwhile: nothing was written, try again")
        if collect(files.config, for_kernel=True).documents != files.text.documents:
            raise Failed("the files were changed meanwhile: nothing was written, try again")
        try:
            files.path.parent.mkdir(mode=0o700, exist_ok=True)
            replace_file(files.path, document.text)
        except OSError as error:
            raise Failed(f"cannot write {files.path}: {error.strerror}") from error

    text = with_document(files.text, document)
    # What cannot be enforced was in force before, and the plan warns of it.
    terms = Terms(allow_unenforced=True)
    act = replace(act, begin=write)
    return put_in_force(
        session, text, files.config, terms, _no_rollback, hands.ask, hands.agree, act
    )


def _no_rollback(_: Pending) -> None:
    """What is opened for a while is not asked to be confirmed."""
