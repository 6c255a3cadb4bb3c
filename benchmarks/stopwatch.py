"""The process that `benchmarks.phases` measures: a command, with a stopwatch for its phases.

Imports next to nothing, so that the time of its start is that of the command.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import ParamSpec, TypeVar

STEPS = {
    "the policy's text": (
        "dockerfw.operations.apply.collect",
        "dockerfw.policy.files.PolicyText.parse",
    ),
    "Docker's answers": ("dockerfw.operations.session.Session.inventory",),
    "what this host is": (
        "dockerfw.kernel.netfilter.Netfilter.facts",
        "dockerfw.kernel.netfilter.Netfilter.foreign_tables",
    ),
    "advice and expectations": ("dockerfw.operations.plan.check",),
    "compiling": ("dockerfw.operations.reconcile.compile_ruleset",),
    "reading the kernel": ("dockerfw.kernel.netfilter.Netfilter.read",),
    "planning": ("dockerfw.plan.planner.plan",),
    "what opens and closes": ("dockerfw.report.diff.diff",),
    "writing": ("dockerfw.kernel.netfilter.Netfilter.commit",),
}
"""Each phase, and the functions that are it."""
START, REST = "start and imports", "all else"
OUTPUT = "/run/lab/phases.json"

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Stopwatch:
    """Processor time of this process and of those that it ran, each moment for one phase."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {START: 0.0}
        self._now = [START]
        self._since = 0.0

    def turn_to(self, phase: str) -> None:
        self._take()
        self._now.append(phase)

    def turn_back(self) -> None:
        self._take()
        self._now.pop()

    def begin_work(self) -> None:
        """From here on what belongs to no phase is the rest."""
        self._take()
        self._now = [REST]

    def _take(self) -> None:
        used = sum(
            sum(resource.getrusage(who)[:2])
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        phase = self._now[-1]
        self.spent[phase] = self.spent.get(phase, 0.0) + used - self._since
        self._since = used


def inside(argv: list[str]) -> None:
    """The command, with what its phases took in `OUTPUT`."""
    watch = Stopwatch()
    dockerfw = resolve_name("dockerfw.cli.app:main")  # here: the time of that is the start's
    for phase, names in STEPS.items():
        for name in names:
            _put_in(name, _timed(watch, phase, resolve_name(name)))
    sys.argv = ["dockerfw", *argv]
    watch.begin_work()
    try:
        dockerfw()
    finally:
        watch.turn_back()
        Path(OUTPUT).write_text(json.dumps(watch.spent), encoding="ascii")


def _put_in(name: str, work: Callable[..., object]) -> None:
    where, _, attribute = name.rpartition(".")
    setattr(resolve_name(where), attribute, work)


def _timed(watch: Stopwatch, phase: str, work: Callable[_P, _R]) -> Callable[_P, _R]:
    def wrapper(*arguments: _P.args, **named: _P.kwargs) -> _R:
        watch.turn_to(phase)
        try:
            return work(*arguments, **named)
        finally:
            watch.turn_back()

    return wrapper
