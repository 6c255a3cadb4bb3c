"""What runs in the tests of the warnings, and policies of one rule."""

from __future__ import annotations

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.report.warnings import advise
from tests.build import allow, container, deny, facts, inventory, network, policy

FACTS = facts(br_netfilter=True)
LINE = 12

FRONT = network("front", "172.18.0.0/24")
LAN = network("lan", "192.0.2.0/24", driver="macvlan")
WEB = container("web", "front 172.18.0.2", published="8080:80")
ADMIN = container("admin", "front 172.18.0.5", published="127.0.0.1:9090:90")
WORKER = container("worker", "front 172.18.0.6")
HERE = inventory(
    WEB,
    container("shop-db-1", "front 172.18.0.3", published="5432:5432"),
    container("dns", "front 172.18.0.4", published="53:5353/udp"),
    ADMIN,
    WORKER,
    container("exporter", host_network=True),
    container("sidecar", network_owner=WEB),
    container("camera", "lan 172.18.0.7"),
    *(FRONT, LAN),
    engine="26.1.5",
)


def opening(
    to: str | tuple[str, ...] = (),
    ports: int | str | tuple[int | str, ...] = (),
    published: int | str | tuple[int | str, ...] = (),
    source: str = "any",
) -> Policy:
    """Return a policy of one ``[[allow]]``, at line 12."""
    return policy(allow(source, to=to, ports=ports, published=published, line=LINE))


def closing(to: str | tuple[str, ...] = (), source: str = "any") -> Policy:
    """Return a policy of one ``[[deny]]``, at line 12."""
    return policy(deny(source, to=to, line=LINE))


def only(rules: Policy, running: Inventory = HERE, host: HostFacts = FACTS) -> str:
    """Return the one warning that there is."""
    found = advise(rules, running, host)
    assert len(found) == 1, found
    return found[0]
