"""Which policy holds now, by the copy that dockerfw keeps of what was applied.

Takes a `Store`; gives a policy in every case, a closed one where there is no better. It never
reads the policy file itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from dockerfw.errors import DockerfwError
from dockerfw.model.policy import Allow, Policy
from dockerfw.policy.files import PolicyText
from dockerfw.state.store import Store

CLOSED = Policy(baseline=(), locked_down=True)
"""What a lockdown enforces: nobody but this host reaches any container port. Where a policy was
applied it is `locked_down` that says which ports are some of those."""


NOTHING_APPLIED = "no policy is in force yet"


class InForce(NamedTuple):
    """The policy that holds now.

    ``text`` is what it was parsed from, None where it is not the one that was applied; then
    ``problem`` is the reason, for people.
    """

    policy: Policy
    text: PolicyText | None
    problem: str | None


def locked_down(store: Store) -> Policy:
    """Return what a lockdown enforces now: `CLOSED`, and what rules on host-network containers
    guard. Without a rule that names them such ports are those of the host, and open.
    """
    try:
        text = store.policy.load()
        policy = text.parse() if text is not None else Policy()
    except DockerfwError:
        return CLOSED
    rules = (Allow(s.origin, (), s.to, s.ports) for s in policy.statements if s.ports)
    return replace(CLOSED, allows=tuple(rules))


def read_policy_in_force(store: Store) -> InForce:
    """Return what holds now. What cannot be read opens nothing, and is no error."""
    if store.policy.locked_down():
        return InForce(locked_down(store), None, "locked down until the next apply")
    try:
        text = store.policy.load()
        if text is not None:
            return InForce(text.parse(), text, None)
    except DockerfwError as error:
        problem = f"the policy in force cannot be read, all is closed: {error}"
        return InForce(Policy(), None, problem)
    return InForce(Policy(), None, NOTHING_APPLIED)
