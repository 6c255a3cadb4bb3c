"""Would SOURCE reach TARGET: a verdict for each path that a packet could take, and the line of
the policy that decides it. For ``dockerfw explain`` and ``[[expect]]``.

Takes a policy, an inventory and facts of the host. The verdict always comes from walking packets
through the compiled ruleset of the whole policy. Pure: never reads the kernel, and leaves out
what Docker's own or other rules refuse later.
"""

from dockerfw.report.explain.all_ports import PortList
from dockerfw.report.explain.answer import answer, open_to_all
from dockerfw.report.explain.expectations import Expectations, broken_expectations
from dockerfw.report.explain.explainer import explain
from dockerfw.report.explain.explanation import Explanation, Row
from dockerfw.report.explain.reader import UnknownContainer

__all__ = [
    "Expectations",
    "Explanation",
    "PortList",
    "Row",
    "UnknownContainer",
    "answer",
    "broken_expectations",
    "explain",
    "open_to_all",
]
