"""Every way in to every container, who gets in by it, and the rule, or the lack of one, that makes
it so. For ``dockerfw audit``.

Takes an inventory, facts of the host and its rules; gives an `Audit`. Pure. With no policy in force
it judges what others have written, and where that cannot be known it says so.
"""

from dockerfw.report.audit.auditor import Host, audit
from dockerfw.report.audit.lines import document, lines
from dockerfw.report.audit.page import page
from dockerfw.report.audit.row import Audit, Row

__all__ = ["Audit", "Host", "Row", "audit", "document", "lines", "page"]
