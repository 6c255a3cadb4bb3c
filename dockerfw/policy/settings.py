"""``[defaults]``, ``[firewall]`` and ``[daemon]`` -> settings of a `Policy`.

Takes the nodes of these sections, gives a `Policy` that has their settings and no rules; what is
wrong becomes a finding, and its default counts. Never asks whether a file or port can be had. A new
setting begins here, in ``model/policy.py`` and in ``policy/json_schema.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import TypeAlias, get_args

from dockerfw.model.policy import DEFAULT_MARK, Committer, Mode, OnDeny, Policy
from dockerfw.policy.document import Node, check_keys, one_of
from dockerfw.policy.words import shown

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "defaults": ("baseline",),
    "firewall": ("mode", "on_deny", "mark", "committer", "log"),
    "daemon": ("resync", "metrics", "metrics_file"),
}
LONGEST_RESYNC = 86_400
"""Seconds: a day."""

_LISTENER = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})")

Sections: TypeAlias = Mapping[str, Mapping[str, Node]]
"""By section and key, what is written there."""


def read_sections(tables: Sequence[Node]) -> Sections:
    """Return the sections of all documents; keys that are unknown there become findings."""
    return {name: _section(name, tables) for name in SECTIONS}


def _section(name: str, tables: Sequence[Node]) -> Mapping[str, Node]:
    found: dict[str, Node] = {}
    for table in tables:
        section = table.get(name)
        if section is not None and isinstance(section.value, dict):
            check_keys(section, SECTIONS[name], f"[{name}]")
            found.update(section.items())
    return found


def read_settings(sections: Sections) -> Policy:
    """Return a policy with the settings of ``[firewall]`` and ``[daemon]``."""
    firewall, daemon = sections["firewall"], sections["daemon"]
    return Policy(
        mode=one_of(firewall.get("mode"), get_args(Mode), "enforce"),
        on_deny=one_of(firewall.get("on_deny"), get_args(OnDeny), "drop"),
        mark=_mark(firewall.get("mark")),
        committer=one_of(firewall.get("committer"), get_args(Committer), "iptables-restore"),
        log=_log(firewall.get("log")),
        resync=_resync(daemon.get("resync")),
        metrics=_listener(daemon.get("metrics")),
        metrics_file=_metrics_file(daemon.get("metrics_file")),
    )


def _mark(node: Node | None) -> int:
    if node is None:
        return DEFAULT_MARK
    mark = node.value
    if type(mark) is int and 0 < mark < 2**32 and mark.bit_count() == 2:
        return mark
    node.error(
        f"{shown(mark)}: `mark` is a number of 32 bits with exactly two of them set, "
        f"like {DEFAULT_MARK:#x}"
    )
    return DEFAULT_MARK


def _log(node: Node | None) -> bool:
    if node is None or isinstance(node.value, bool):
        return node is not None and bool(node.value)
    node.error(f"{shown(node.value)}: `log` is `true` or `false`, without quotes")
    return False


def _resync(node: Node | None) -> int:
    default = Policy().resync
    if node is None:
        return default
    if type(node.value) is int and 1 <= node.value <= LONGEST_RESYNC:
        return node.value
    node.error(f"{shown(node.value)}: `resync` is a number of seconds from 1 to {LONGEST_RESYNC}")
    return default


def _listener(node: Node | None) -> str | None:
    """``ADDRESS:PORT`` of this host alone: what is counted here is not for the network."""
    if node is None:
        return None
    match = _LISTENER.fullmatch(node.value) if isinstance(node.value, str) else None
    try:
        address = ip_address(match[1].strip("[]")) if match else None
    except ValueError:
        address = None
    bracketed = match is not None and match[1].startswith("[")
    if not match or not address or (address.version == 6) != bracketed or int(match[2]) > 65535:
        node.error(
            f"{shown(node.value)}: `metrics` is a loopback address and a port, "
            "like `127.0.0.1:9567` or `[::1]:9567`"
        )
    elif not address.is_loopback:
        node.error(
            f"{shown(node.value)}: `metrics` listens on a loopback address only: write "
            f"`127.0.0.1:{match[2]}`, and put a reverse proxy before it for other hosts"
        )
    else:
        return match[0]
    return None


def _metrics_file(node: Node | None) -> str | None:
    if node is None:
        return None
    path = node.value
    if isinstance(path, str) and path.isprintable() and path.startswith("/") and path[-1] != "/":
        return path
    node.error(
        f"{shown(path)}: `metrics_file` is the whole path of a file, "
        "like `/var/lib/node_exporter/dockerfw.prom`"
    )
    return None
