"""What stands in the ipsets of a place, as ``ipset save`` prints it.

Without what packets have put into dockerfw's records: nobody writes that, and it ends by itself.
"""

from __future__ import annotations

import re

from dockerfw.rules.names import phase_of
from tests.lab.place import Place


def saved_sets(place: Place) -> str:
    """Return the text of ``ipset save``, records without their elements."""
    saved = place.run(["ipset", "save"]).stdout.splitlines(keepends=True)
    return "".join(line for line in saved if not _is_recorded(line))


def _is_recorded(line: str) -> bool:
    added = re.match(r"add (\S+)", line)
    return added is not None and phase_of(added[1]) == "record"
