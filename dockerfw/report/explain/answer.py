"""The question of ``dockerfw explain``: one port or all of a target, with a policy or without one.

Takes what the user wrote; gives an `Explanation`, or a `PortList`. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from dockerfw.errors import UsageError
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import (
    Allow,
    AnySource,
    BridgeSource,
    Origin,
    Policy,
    PortKeyword,
    Selector,
)
from dockerfw.report.explain.all_ports import PortList, targets_of
from dockerfw.report.explain.explainer import Explainer
from dockerfw.report.explain.explanation import Explanation, Row
from dockerfw.report.explain.paths import ONLY_THIS_HOST
from dockerfw.report.explain.remarks import NO_PATH
from dockerfw.report.labels import meant_interface


def answer(
    policy: Policy,
    inventory: Inventory,
    facts: HostFacts,
    source: str,
    target: str,
    foreign: tuple[ForeignTable, ...] = (),
) -> Explanation | PortList:
    """Return what ``dockerfw explain`` answers: as `explain`, for each port of a target without
    one. Refuses an interface that is not there; an expectation may be about one that comes later.
    """
    return _answer(Explainer(policy, inventory, facts, foreign=foreign), source, target)


def _answer(explainer: Explainer, source: str, target: str) -> Explanation | PortList:
    _refuse_unknown_interface(source, explainer.facts)
    targets = targets_of(target, explainer.policy, explainer.inventory)
    if not targets:
        return explainer.explain(source, target)
    return PortList(source, target, tuple(explainer.explain(source, one) for one in targets))


def open_to_all(
    inventory: Inventory,
    facts: HostFacts,
    source: str,
    target: str,
    foreign: tuple[ForeignTable, ...] = (),
) -> Explanation | PortList:
    """Return the same where no policy is in force and nothing is filtered."""
    explainer = Explainer(_OPEN, inventory, facts, foreign=foreign, in_force=False)
    found = _answer(explainer, source, target)
    if isinstance(found, PortList):
        return replace(found, answers=tuple(map(_as_open, found.answers)))
    return _as_open(found)


def _as_open(found: Explanation) -> Explanation:
    rows = tuple(
        row if _is_so_anyway(row) else replace(row, allowed=True, reason=_NOT_FILTERED, rule=None)
        for row in found.rows
    )
    return replace(found, rows=rows, in_force=False, remedy=())


def _is_so_anyway(row: Row) -> bool:
    """Return True for what no rule of dockerfw decides."""
    return row.path == NO_PATH or row.reason == ONLY_THIS_HOST or row.reason.startswith("allowed: ")


_OPEN = Policy(
    allows=(
        Allow(
            Origin("", 0),
            (AnySource(), BridgeSource()),
            (Selector("container", "*"),),
            (PortKeyword.ALL,),
        ),
    )
)
"""What holds without a policy, for the paths and for what the rules of others do on them."""
_NOT_FILTERED = "open: no policy is in force"


def _refuse_unknown_interface(source: str, facts: HostFacts) -> None:
    interface = source.partition("@")[2]
    if not interface or not facts.interfaces or interface in facts.interfaces:
        return
    meant = meant_interface(interface, facts.interfaces)
    raise UsageError(f'source "{source}": this host has no interface {interface}; {meant}')
