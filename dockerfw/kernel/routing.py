"""Where this host sends packets, and whether its iptables can ask that of a packet's source.

Takes a `Runner`; gives `Route`s of the main table and a yes or no. Only reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from dockerfw.errors import Failed
from dockerfw.kernel.runner import NotInstalled, Runner, require
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from dockerfw.model.routes import Route

_EVERYWHERE: Mapping[Family, str] = {4: "0.0.0.0/0", 6: "::/0"}


def routes(runner: Runner, families: Iterable[Family]) -> tuple[Route, ...]:
    """Return the main table of these families, but for link-local ones. Raises `Failed`."""
    return tuple(route for family in families for route in _of_family(runner, family))


def _of_family(runner: Runner, family: Family) -> Iterator[Route]:
    text = require(runner, ["ip", "-json", f"-{family}", "route", "show"])
    try:
        lines: list[dict[str, Any]] = json.loads(text or "[]")
    except ValueError:
        raise Failed("ip -json printed no JSON: update iproute2") from None
    for line in lines:
        written = line.get("dst", "default")
        network = ip_network(_EVERYWHERE[family] if written == "default" else written)
        devices = [hop.get("dev") for hop in (line, *line.get("nexthops", ()))]
        if not (family == 6 and network.is_link_local):
            yield from (Route(network, device) for device in devices if device)


def has_way_back(runner: Runner, flavour: Flavour) -> bool:
    """Return True unless ``rpfilter`` is missing, in the kernel or in iptables.

    A rule that is not there is asked for: what is missing is named on stderr then (tried with
    1.8.9, both flavours).
    """
    words = ["-w", "10", "-t", "mangle", "-C", "PREROUTING", "-m", "rpfilter", "-j", "DROP"]
    try:
        done = runner.run([f"iptables-{flavour}", *words])
    except NotInstalled:
        # Old and small systems have one flavour only, under the plain name.
        done = runner.run(["iptables", *words])
    return "rpfilter" not in done.stderr
