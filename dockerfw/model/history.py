"""What is kept of each policy that was put in force, beside the policy itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One policy: its number (from 1), and since when it was in force (Unix time).

    ``config`` is the file that it came from, ``what`` the command that put it in force, ``opens``
    and ``closes`` how many lines of its plan opened and closed something. ``before`` is the number
    of the policy to go back to from here; 0: there was none.
    """

    number: int
    at: float
    user: str
    what: str
    reason: str
    opens: int
    closes: int
    config: str
    before: int
