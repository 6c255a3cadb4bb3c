"""How ``plan`` and ``apply`` show what changes: as lines for people, as JSON for programs."""

from __future__ import annotations

from typing import Any

import click

from dockerfw.cli.output import print_hints, print_lines, print_warnings
from dockerfw.cli.screen import width
from dockerfw.kernel.interface import Kernel
from dockerfw.operations.plan import PolicyPlan
from dockerfw.plan.steps import Plan
from dockerfw.report.remarks import remarks
from dockerfw.text import paragraph


def plan_document(planned: PolicyPlan) -> dict[str, Any]:
    """Return the document of ``plan --json``, where ``changed`` is what an apply would say."""
    plan = planned.plan
    return {
        "changed": not plan.in_sync,
        "in_sync": plan.in_sync,
        "observing": planned.observing,
        "changes": planned.changes.to_json(),
        "notes": [note.text for note in plan.notes],
        "warnings": remarks(planned.all_warnings),
        "hints": list(planned.hints),
        "steps": [{"tool": s.tool, "family": s.family, "why": s.why} for s in plan.steps],
    }


def since_document(number: int, planned: PolicyPlan) -> dict[str, Any]:
    """Return the document of ``plan --since``."""
    return {
        "since": number,
        "changed": bool(planned.changes.changes),
        "observing": planned.observing,
        "changes": planned.changes.to_json(),
        "warnings": remarks(planned.all_warnings),
    }


def print_plan(planned: PolicyPlan, *, in_sync: bool) -> None:
    """Print the remarks, then what changes; ``in_sync`` is whether nothing does, or did."""
    plan = planned.plan
    if planned.observing:
        print_lines(["OBSERVING: judged and counted, nothing is dropped"])
    print_warnings(planned.all_warnings)
    print_hints(planned.hints)
    for note in plan.notes:
        print_lines(paragraph(f"! {note}", width=width(), rest="  "))
    if in_sync:
        print_lines(["In sync: nothing to change."])
    else:
        print_lines(planned.changes.lines(width(), plan=plan))


def print_kernel_text(plan: Plan, kernel: Kernel) -> None:
    """What would be written, as the tools of netfilter take it."""
    for step in plan.steps:
        family = f" (IPv{step.family})" if step.family else ""
        click.echo(f"\n# {step.tool}{family}: {step.why}")
        click.echo(kernel.render(step).rstrip("\n"))
