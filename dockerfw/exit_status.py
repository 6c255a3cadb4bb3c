"""What a command's exit status means: the one list of them, also in ``docs/commands.md``."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The statuses that `dockerfw` ends with."""

    OK = 0
    """Done; and where the command answers a question, the answer is yes: in sync, allowed."""

    FAILED = 1
    """Something on this host does not work, root is needed, or an apply was rolled back."""

    REFUSED = 2
    """The command line or the policy is wrong: nothing was changed."""

    NO = 3
    """The answer is no: changes are pending, not enforcing or not in sync, denied on all paths."""

    MIXED = 4
    """``explain``: allowed on some paths, denied on others."""

    INTERRUPTED = 130
    """Stopped at the terminal: 128 + SIGINT."""

    BROKEN_PIPE = 141
    """Whoever read the output has gone: 128 + SIGPIPE."""
