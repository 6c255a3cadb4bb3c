"""The last policies in force, the newest first: lines for a terminal, and JSON. Pure.

Takes the entries as they are kept, the oldest first, and the number of the one in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from dockerfw.model.history import Entry
from dockerfw.report.tables import table
from dockerfw.text import iso_moment, moment, paragraph, printable


def lines(entries: Sequence[Entry], in_force: int, width: int) -> list[str]:
    """Return a line or two for each policy; ``*`` is before the one in force."""
    if not entries:
        return ["No policy that was put in force is kept yet."]
    rows = [
        ["*" if e.number == in_force else " ", str(e.number), moment(int(e.at)), _words(e)]
        for e in reversed(entries)
    ]
    back = "* is in force. Back to the one before: dockerfw rollback"
    return [
        *table(rows, width=width, indent="", right=(1,)),
        *paragraph(back, width=width, rest="  "),
    ]


def what_it_was(entry: Entry) -> str:
    """Return one policy in a few words: since when, by which command and whom, and why."""
    return f"policy {entry.number}, of {moment(int(entry.at))}: {_act(entry)}"


def _words(entry: Entry) -> str:
    return f"{_act(entry)}; opened {entry.opens:,}, closed {entry.closes:,}"


def _act(entry: Entry) -> str:
    by = f" by {entry.user}" if entry.user else ""
    reason = f" ({entry.reason})" if entry.reason else ""
    return printable(f"{entry.what}{by}{reason}")


def to_json(entries: Sequence[Entry], in_force: int) -> list[dict[str, object]]:
    """The newest policy first."""
    return [
        {**asdict(e), "at": iso_moment(e.at), "in_force": e.number == in_force}
        for e in reversed(entries)
    ]
