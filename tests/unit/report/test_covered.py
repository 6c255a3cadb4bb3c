"""An allow that a deny takes back wholly is named; one that it does not is not."""

from __future__ import annotations

import pytest

from dockerfw.model.policy import Allow, Deny
from dockerfw.report.warnings import advise
from tests.build import address_list, allow, container, deny, inventory, network, policy
from tests.unit.report.scene import FACTS, HERE


def said(allowed: Allow, denied: Deny) -> bool:
    found = advise(policy(allowed, denied), HERE, FACTS)
    return any("takes back all of this, so it opens nothing" in warning for warning in found)


@pytest.mark.parametrize(
    ("allowed", "denied"),
    [
        (allow("any", to="web", ports=80), deny("any")),
        (allow("192.0.2.7", to="web", ports=80), deny("192.0.2.0/24")),
        (allow("192.0.2.0/24", to="web", ports=80), deny("192.0.2.0/25", "192.0.2.128/25")),
        (allow("192.0.2.7", "iface:wg0", to="web", ports=80), deny("any", "iface:wg*")),
        (allow("192.0.2.7", to="web", ports=80), deny(address_list("l", "192.0.2.0/24"))),
        (allow("container:worker", to="web", ports=80), deny("bridge", to=("web", "dns"))),
        (allow("any", to="web", ports=80), deny("any", to="web", ports="80-90")),
        (allow("any", to="web", ports=80), deny("any", to="w*", ports="all")),
        (allow("any", published=8080), deny("any", published="8000-9000")),
    ],
)
def test_all_of_it_is_taken_back(allowed: Allow, denied: Deny) -> None:
    assert said(allowed, denied)


@pytest.mark.parametrize(
    ("allowed", "denied"),
    [
        (allow("any", to="web", ports=80), deny("192.0.2.0/24")),
        (allow("192.0.2.0/24", to="web", ports=80), deny("192.0.2.0/25")),
        (allow("any", "bridge", to="web", ports=80), deny("any")),
        (allow("iface:wg0", to="web", ports=80), deny("any")),
        (allow("any", to="web", ports=80), deny("any", to="dns")),
        (allow("any", to="web", ports=(80, 443)), deny("any", to="web", ports=80)),
        (allow("any", to="web", ports="80/udp"), deny("any", to="web", ports=80)),
        (allow("any", to="web", ports=80), deny("any", published=8080)),
        (allow("any", published=8080), deny("any", published="192.0.2.1:8080")),
        (allow("any", published=8080), deny("any", to="web")),
    ],
)
def test_some_of_it_is_left(allowed: Allow, denied: Deny) -> None:
    assert not said(allowed, denied)


def test_a_deny_for_a_network_leaves_the_address_on_another_one() -> None:
    here = inventory(
        container("web", "front 172.18.0.2", "back 172.19.0.2"),
        network("front", "172.18.0.0/24"),
        network("back", "172.19.0.0/24"),
    )

    def warned(to: str) -> bool:
        found = advise(
            policy(allow("bridge", to=to, ports=80), deny("bridge", to="network:front")),
            here,
            FACTS,
        )
        return any("takes back all of this" in warning for warning in found)

    assert warned("network:front")
    assert not warned("web")
