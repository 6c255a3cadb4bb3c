"""The networks that are connected to an interface of this host: its LAN, whatever that is today.

Takes a `Runner` and the name of an interface, gives networks of both families. They are those of
its addresses, and those that the kernel, DHCP or a router's advertisement put on the link. Never
link-local ones, nor what lies behind a gateway. Only reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from dockerfw.kernel.runner import Runner
from dockerfw.model.net import IPNetwork

_WIDEST = {4: 8, 6: 48}
"""A network with a shorter prefix is nobody's LAN: an advertisement that is wrong, or worse."""
_ON_LINK = ("kernel", "dhcp", "ra")


def networks(runner: Runner, interface: str) -> tuple[IPNetwork, ...]:
    """Return its networks in their order; none where there is no such interface."""
    found: set[IPNetwork] = set()
    own: set[IPNetwork] = set()
    for link in _asked(runner, ["address", "show", "dev", interface]):
        for address in link.get("addr_info", ()):
            if address.get("scope") in ("global", "site") and "local" in address:
                own.add(ip_network(address["local"]))
                found.add(_network(address.get("address", address["local"]), address["prefixlen"]))
    for family in ("-4", "-6"):
        routes = _asked(runner, [family, "route", "show", "dev", interface, "table", "main"])
        found |= {ip_network(route["dst"]) for route in routes if _is_on_link(route)}
    fit = (n for n in found - own if n.prefixlen >= _WIDEST[n.version] and not n.is_link_local)
    return tuple(sorted(fit, key=lambda n: (n.version, int(n.network_address), n.prefixlen)))


def _network(address: str, length: int) -> IPNetwork:
    return ip_network(f"{address}/{length}", strict=False)


def _is_on_link(route: Mapping[str, Any]) -> bool:
    behind = route.keys() & {"gateway", "via", "nexthops", "type"}
    return not behind and route["dst"] != "default" and route.get("protocol") in _ON_LINK


def _asked(runner: Runner, question: list[str]) -> Iterator[dict[str, Any]]:
    done = runner.run(["ip", "-json", *question])
    try:
        answer = json.loads(done.stdout or "[]") if done.status == 0 else []
    except ValueError:
        return
    yield from (one for one in answer if one)
