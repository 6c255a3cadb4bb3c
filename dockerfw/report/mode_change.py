"""What a change of mode does: no port has another rule by it, and every one behaves otherwise.

Pure. Takes what stands and the policy that is to hold; gives a sentence.
"""

from __future__ import annotations

from dockerfw.model.policy import Mode, Policy
from dockerfw.plan.state import KernelState
from dockerfw.rules.names import DENY
from dockerfw.rules.rule import Drop, Reject


def standing_mode(live: KernelState) -> Mode | None:
    """Return the mode of the chains that stand; None where none do."""
    standing = [rule for state in live.tables.values() for rule in state.rules("filter", DENY)]
    if not standing:
        return None
    drops = any(r.meaning and isinstance(r.meaning.target, Drop | Reject) for r in standing)
    return "enforce" if drops else "observe"


def mode_change(live: KernelState, policy: Policy) -> tuple[str, ...]:
    """Return what changes for all ports by the mode alone, compared with the chains that stand."""
    before = standing_mode(live)
    if before == "enforce" and policy.mode == "observe":
        opens = "nothing is dropped from then on: every port is open to whoever can reach this host"
        return (f"the mode was enforce and becomes observe; {opens}",)
    if before == "observe" and policy.mode == "enforce":
        closes = "what was only counted is dropped from then on, at every port that lets nobody in"
        return (f"the mode was observe and becomes enforce; {closes}",)
    return ()
