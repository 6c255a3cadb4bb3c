"""Check a policy against a host and what runs there: its expectations, and what to warn of.

Takes values alone (a policy's text, an inventory, facts, the time), so that it does for a recorded
inventory what it does for a real host.
"""

from __future__ import annotations

from dataclasses import dataclass

from dockerfw.errors import PolicyError
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import with_foreign_ports
from dockerfw.policy.files import PolicyText
from dockerfw.report import explain, host_warnings, warnings as advice
from dockerfw.report.endings import ended

RECORDED = HostFacts(br_netfilter=(True, True))
"""The host of a recorded inventory: one that can enforce everything."""


@dataclass(frozen=True, slots=True)
class CheckedPolicy:
    """A policy whose expectations hold on a host with these facts and this inventory.

    ``warnings`` are what the author may have meant otherwise; ``unenforced`` is what cannot be
    enforced on this host, a reason each.
    """

    text: PolicyText
    policy: Policy
    inventory: Inventory
    facts: HostFacts
    warnings: tuple[str, ...]
    unenforced: tuple[str, ...]


def check(text: PolicyText, inventory: Inventory, facts: HostFacts, now: float) -> CheckedPolicy:
    """Parse the policy and check it. ``now`` is Unix time: rules that have ended do not count.

    Raises `PolicyError` for a policy that is wrong and for expectations that do not hold.
    """
    policy = text.parse()
    inventory = with_foreign_ports(inventory, facts)
    broken = explain.broken_expectations(policy.without_ended(now), inventory, facts)
    if broken.errors:
        raise PolicyError(text.without_contents(broken.errors))
    about_rules = (
        *broken.warnings,
        *ended(policy, now),
        *advice.advise(policy.without_ended(now), inventory, facts),
    )
    found = (*text.warnings, *policy.warnings, *text.without_contents(about_rules))
    warnings = host_warnings.while_observing(policy, found)
    unenforced = host_warnings.unenforced(policy, inventory, facts)
    return CheckedPolicy(text, policy, inventory, facts, warnings, unenforced)
