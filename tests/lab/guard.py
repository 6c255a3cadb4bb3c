"""Keeps the lab out of the network namespace that the test run started in.

Everything that changes a network goes through `elsewhere`, which raises before anything is done.
"""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "DOCKERFW_LAB_HOME"


class LabError(Exception):
    """The lab itself failed: not a finding about dockerfw."""


def _namespace(path: str) -> str:
    return str(Path(path).readlink())


# Recorded when the run starts, and handed down, so that a process started inside a test host
# still knows which namespace is out of bounds.
HOME = os.environ.setdefault(_VARIABLE, _namespace("/proc/self/ns/net"))


def elsewhere(path: str) -> str:
    """Give back ``path`` of a network namespace, unless it is the one to stay out of."""
    if _namespace(path) in (HOME, _namespace("/proc/self/ns/net")):
        msg = f"{path} is the network that the test run started in: refused"
        raise LabError(msg)
    return path
