# Copyright dockerfw contributors
# SPDX-License-Identifier: Apache-2.0

"""What dockerfw prints with ``--json``, as sentences and as a diff of Ansible's.

Takes documents as docs/json.md of dockerfw has them, gives text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LARGEST_DIFF = 100_000
"""Bytes of a file that are still shown line by line, as Ansible's own limit is."""


def sentence(remark: Mapping[str, Any]) -> str:
    """Return one warning or error, with file and line first."""
    if remark["line"] is None:
        return str(remark["text"])
    return f"{remark['file']}:{remark['line']}: {remark['text']}"


def sentences(remarks: Iterable[Mapping[str, Any]]) -> str:
    """Return them in one line."""
    return "; ".join(sentence(remark) for remark in remarks)


def file_diff(path: str, before: str, after: str) -> dict[str, Any]:
    """Return the diff of one file, as Ansible's callbacks show it."""
    diff = {"before_header": path, "after_header": path}
    if max(len(before), len(after)) > LARGEST_DIFF:
        return {**diff, "src_larger": LARGEST_DIFF, "dst_larger": LARGEST_DIFF}
    return {**diff, "before": before, "after": after}


def disagreeing(probe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the packets that did not do what the policy says."""
    return [one for one in probe["tried"] if one["outcome"] == "disagrees"]


def disagreement(one: Mapping[str, Any]) -> str:
    """Return what was expected of a packet, and what it did."""
    did = "let in" if one["let_in"] else "not let in"
    return (
        f"{one['container']}, {one['path']} {one['address']} {one['port']}/{one['protocol']}, "
        f"from {one['from']}: expected {one['expected']}, {did} ({one['reason']})"
    )
