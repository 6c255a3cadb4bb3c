"""``[[expect]]``: do the verdicts that the policy's author expects hold here? Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dockerfw.errors import UsageError
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import (
    AnySource,
    ExceptingSource,
    Expect,
    HostSource,
    LanSource,
    Policy,
    Source,
    excepting,
)
from dockerfw.model.remark import Remark
from dockerfw.report.explain.explainer import Explainer
from dockerfw.report.explain.explanation import Explanation, Row
from dockerfw.report.explain.paths import HOST_ELSEWHERE, HOST_ITSELF
from dockerfw.report.explain.reader import UnknownContainer
from dockerfw.text import counted


@dataclass(frozen=True, slots=True)
class Expectations:
    """``errors``: expectations that do not hold. ``warnings``: those that cannot be checked now."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def broken_expectations(policy: Policy, inventory: Inventory, facts: HostFacts) -> Expectations:
    """Check every ``[[expect]]`` against the whole policy.

    ``denied`` holds when all paths are denied, ``allowed`` when all are allowed. An expectation
    about a container or a host port that is not there now cannot be checked: a warning. Nor can
    one that would hold if a name had an address that has none now. Of a port that is published at
    some addresses of this host it is about these.
    """
    explainer = Explainer(policy, inventory, facts)
    at_most = _with_every_name(policy)
    errors: list[str] = []
    warnings: list[str] = []
    for expect in policy.expects:
        try:
            found = explainer.explain(expect.source, expect.target)
        except UnknownContainer as error:
            warnings.append(f"{expect.origin}: not checked: {error}")
            continue
        except UsageError as error:
            errors.append(f"{expect.origin}: {error}")
            continue
        wrong = [
            row
            for row in found.rows
            if row.allowed != expect.allowed and not row.path.startswith(HOST_ELSEWHERE)
        ]
        if wrong and wrong[0].path == HOST_ITSELF:
            warnings.append(
                f"{expect.origin}: not checked: no container publishes {expect.target} now; "
                "start it, then run dockerfw plan"
            )
        elif wrong and all(row.conditional for row in wrong):
            warnings.append(
                f"{expect.origin}: not checked: NAT of others for {expect.target} has conditions "
                "that dockerfw does not know; dockerfw explain shows both ways"
            )
        elif wrong and expect.allowed and _may_hold(at_most, inventory, facts, expect):
            warnings.append(
                f"{expect.origin}: not checked: it depends on a host: name or a lan: interface "
                "that has no address now"
            )
        elif wrong:
            errors.append(f"{expect.origin}: {_broken(found, expect.allowed, wrong)}")
    unchecked = tuple(Remark(warning, "not-checked") for warning in warnings)
    return Expectations(tuple(errors), unchecked)


def _with_every_name(policy: Policy) -> Policy | None:
    """Return the policy with every address for names that have none; None if all have one."""

    def widened(sources: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(map(widened_one, sources))

    def widened_one(source: Source) -> Source:
        if isinstance(source, HostSource | LanSource) and not source.networks:
            return AnySource()
        if isinstance(source, ExceptingSource):
            return excepting(widened(source.sources), widened(source.exceptions))
        return source

    wide = replace(
        policy,
        baseline=widened(policy.baseline),
        allows=tuple(replace(a, sources=widened(a.sources)) for a in policy.allows),
        denies=tuple(replace(d, sources=widened(d.sources)) for d in policy.denies),
    )
    return None if wide == policy else wide


def _may_hold(
    at_most: Policy | None, inventory: Inventory, facts: HostFacts, expect: Expect
) -> bool:
    if at_most is None:
        return False
    explainer = Explainer(at_most, inventory, facts)
    return all(row.allowed for row in explainer.explain(expect.source, expect.target).rows)


def _broken(found: Explanation, expected: bool, wrong: list[Row]) -> str:
    verb = "does not reach" if expected else "reaches"
    path = wrong[0].path.removesuffix(" (DNAT)")
    more = f", and likewise on {counted(len(wrong) - 1, 'more path')}" if len(wrong) > 1 else ""
    return (
        f"expected {'allowed' if expected else 'denied'}, but {found.source} {verb} "
        f"{found.target} ({path}): {wrong[0].reason}{more}"
    )
