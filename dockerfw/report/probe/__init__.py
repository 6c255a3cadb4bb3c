"""What packets from outside are sent to see whether the policy holds, and what came of them. For
``dockerfw probe``.

Takes the policy in force, what `report.audit` goes by, and what was heard; gives callers, tries and
a `Probed`. Pure. What has to come of a try is asked of `report.explain`, whose word alone counts;
where no policy is in force, of `report.audit`.
"""

from dockerfw.report.probe.callers import Caller, Candidate, candidates, chosen
from dockerfw.report.probe.lines import document, lines
from dockerfw.report.probe.planner import NO_POLICY, Plan, plan
from dockerfw.report.probe.result import NotTried, Probed, judged

__all__ = [
    "NO_POLICY",
    "Caller",
    "Candidate",
    "NotTried",
    "Plan",
    "Probed",
    "candidates",
    "chosen",
    "document",
    "judged",
    "lines",
    "plan",
]
