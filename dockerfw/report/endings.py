"""Allows that are over. By itself, for `check` needs nothing else that is known of rules."""

from __future__ import annotations

from dockerfw.model.policy import Policy
from dockerfw.model.remark import coded
from dockerfw.text import moment


@coded("ended")
def ended(policy: Policy, now: float) -> tuple[str, ...]:
    """Return a warning for each allow whose time is over at that Unix time."""
    return tuple(
        f"{allow.origin}: this rule ended on {moment(allow.end)}: take it out"
        for allow in policy.allows
        if allow.end is not None and allow.ended(now)
    )
