"""Would SOURCE reach TARGET: a verdict for each path, and the line of the policy that decides it."""

from dockerfw.report.explain.paths import (
    Expectations,
    Explanation,
    Row,
    UnknownContainer,
    broken_expectations,
    explain,
    nearest,
)

__all__ = [
    "Expectations",
    "Explanation",
    "Row",
    "UnknownContainer",
    "broken_expectations",
    "explain",
    "nearest",
]
