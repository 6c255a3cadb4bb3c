"""What this host cannot keep of a policy, and what could be better on it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from dockerfw.model.host import Bridge, FirstPacket, HostFacts, Proxy
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.model.remark import Remark
from dockerfw.model.routes import Route
from dockerfw.report.host_warnings import (
    cut_off_text,
    docker_rules_gone,
    hints,
    lost_without_daemon,
    lost_without_frames,
    lost_without_labels,
    lost_without_seal,
    needs_br_netfilter,
    overlaps,
    proxy_next_step,
    unenforced,
    while_observing,
)
from dockerfw.report.warnings import advise
from tests.build import container, policy
from tests.unit.report.scene import FACTS, FRONT, HERE, LAN, closing, only, opening

NO_BRIDGE = policy(baseline=())
BLIND = HostFacts(br_netfilter=(False, False))


@pytest.mark.parametrize(
    "rules, said",
    [
        (NO_BRIDGE, "the baseline is without bridge"),
        (replace(NO_BRIDGE, locked_down=True), "everything is locked down, but containers"),
        (closing(source="bridge"), "config.toml:12 denies containers"),
        (closing("web", "container:worker"), "config.toml:12 denies containers"),
        (closing(source="iface:br-*"), "config.toml:12 denies containers"),
    ],
)
def test_separating_containers_of_one_bridge_needs_br_netfilter(rules: Policy, said: str) -> None:
    (reason,) = unenforced(rules, HERE, BLIND)
    assert said in reason
    assert "modprobe br_netfilter" in reason
    assert "net.bridge.bridge-nf-call-iptables=1" in reason
    assert unenforced(rules, HERE, FACTS) == ()


@pytest.mark.parametrize(
    "rules", [policy(), closing(), closing(source="iface:wg0"), opening("web")]
)
def test_a_policy_about_the_outside_needs_no_br_netfilter(rules: Policy) -> None:
    assert unenforced(rules, HERE, BLIND) == ()


def test_only_families_that_containers_have_matter() -> None:
    assert unenforced(NO_BRIDGE, HERE, HostFacts(br_netfilter=(True, False))) == ()
    dual = replace(FRONT, subnets=(*FRONT.subnets, ip_network("fd00:18::/64")))
    both = replace(HERE, networks=(dual,))
    (reason,) = unenforced(NO_BRIDGE, both, HostFacts(br_netfilter=(True, False)))
    assert "off for IPv6;" in reason
    assert "bridge-nf-call-ip6tables" in reason
    no_ipv6 = HostFacts(ipv6=False, br_netfilter=(True, False))
    assert unenforced(NO_BRIDGE, both, no_ipv6) == ()


def test_without_a_docker_bridge_there_is_nothing_to_separate() -> None:
    assert unenforced(NO_BRIDGE, Inventory(), BLIND) == ()


def test_a_kernel_without_nf_tables_is_warned_of_but_not_refused() -> None:
    bare = replace(FACTS, nf_tables=False)
    assert lost_without_seal(FACTS) == ()
    assert "only by the next apply" in only(policy(), HERE, bare)
    assert unenforced(policy(), HERE, bare) == ()


def test_a_host_without_labels_is_warned_of_but_not_refused() -> None:
    bare = replace(FACTS, labels=False)
    assert lost_without_labels(FACTS) == ()
    assert "nothing remembers who began" in only(policy(), HERE, bare)
    assert unenforced(policy(), HERE, bare) == ()


def test_a_kernel_without_the_bridge_family_is_warned_of_where_rules_part_neighbours() -> None:
    bare = replace(FACTS, frames=False)
    assert lost_without_frames(policy(), HERE, bare) == ()
    assert lost_without_frames(NO_BRIDGE, HERE, FACTS) == ()
    assert lost_without_frames(NO_BRIDGE, Inventory(), bare) == ()
    assert "a container with NET_RAW" in only(NO_BRIDGE, HERE, bare)
    assert lost_without_daemon(NO_BRIDGE, HERE, bare) == ()
    assert lost_without_daemon(policy(), HERE, FACTS) == ()
    (loss,) = lost_without_daemon(NO_BRIDGE, HERE, FACTS)
    assert "started without it can send as any other one on its bridge" in loss


@pytest.mark.parametrize(
    "first_packet, step",
    [
        ("closed", None),
        ("no proxy", None),
        ("elsewhere", "docker.service"),
        ("unseen", "no dockerd is seen"),
        ("unsupported", '"userland-proxy": false'),
        ("crashed", "update nftables"),
        ("no cgroup2", '"userland-proxy": false'),
    ],
)
def test_where_docker_proxy_is_open_at_first_a_hint_says_what_closes_it(
    first_packet: FirstPacket, step: str | None
) -> None:
    facts = replace(FACTS, proxy=Proxy(first_packet=first_packet))
    found = hints(HERE, facts)
    assert (proxy_next_step(facts) is None) == (step is None)
    if step is None:
        assert found == ()
    else:
        (hint,) = found
        assert hint == "docker-proxy is not closed from its first packet: see dockerfw status -v"
        assert step in (proxy_next_step(facts) or "")
        assert not advise(policy(), HERE, facts), "apply --strict is not for hints"


def test_nobody_is_told_of_docker_proxy_where_nothing_is_published() -> None:
    loopback = container("admin", "front 172.18.0.2", published="127.0.0.1:9090:90")
    assert hints(Inventory((loopback,), (FRONT,)), FACTS) == ()


def test_rules_of_docker_that_are_gone_matter_while_it_runs_containers() -> None:
    flushed = replace(FACTS, docker_rules=False)
    (sentence,) = docker_rules_gone(HERE, flushed)
    assert "restart Docker" in sentence
    assert docker_rules_gone(HERE, FACTS) == ()
    assert docker_rules_gone(Inventory(), flushed) == ()


@pytest.mark.parametrize("by", ["inventory", "facts"])
def test_a_bridge_with_a_foreign_port_is_outside(by: str) -> None:
    if by == "inventory":
        mixed = replace(HERE, networks=(replace(FRONT, foreign_ports=("eth1",)), LAN))
        warning = only(policy(), mixed)
    else:
        host = replace(FACTS, bridges=(Bridge("br-front", ("eth1",)), Bridge("virbr0", ("tap0",))))
        warning = only(policy(), HERE, host)
    assert "eth1 in the Docker bridge br-front (network front) is not Docker's" in warning
    assert "at 172.18.0.0/24 are CUT OFF from other networks (they" in warning
    assert "give the Docker network a bridge and a subnet of its own" in warning


def test_a_foreign_port_needs_br_netfilter_whatever_the_policy() -> None:
    """Else its packets to the containers of that bridge meet no rule."""
    tapped = replace(FACTS, bridges=(Bridge("br-front", ("eth1", "tap0")),))
    assert unenforced(policy(), HERE, tapped) == ()
    assert needs_br_netfilter(policy(), HERE, tapped)
    assert not needs_br_netfilter(policy(), HERE, FACTS)
    blind = replace(tapped, br_netfilter=(False, True))
    (reason,) = unenforced(policy(), HERE, blind)
    assert "eth1, tap0 in the Docker bridge br-front (network front) are not Docker's" in reason
    assert "behind them reaches every port of web, shop-db-1" in reason
    assert "sysctl net.bridge.bridge-nf-call-iptables=1" in reason
    assert " and from each other" not in only(policy(), HERE, blind)
    empty = Inventory((), (FRONT,))
    assert "of every container there" in unenforced(policy(), empty, blind)[0]


@pytest.mark.parametrize(
    "network, says",
    [
        ("172.18.0.128/25", "contains 172.18.0.128/25, which this host reaches by wg0"),
        ("172.16.0.0/12", "is a part of 172.16.0.0/12, which this host reaches by wg0"),
    ],
)
def test_a_docker_network_that_shares_addresses_with_another_one_is_named(
    network: str, says: str
) -> None:
    routes = (
        Route(ip_network("0.0.0.0/0"), "eth0"),
        Route(ip_network("172.18.0.0/24"), "br-front"),
        Route(ip_network("10.0.0.0/8"), "wg0"),
    )
    assert overlaps(HERE, replace(FACTS, routes=routes)) == ()
    shared = replace(FACTS, routes=(*routes, Route(ip_network(network), "wg0")))
    assert f"the Docker network front (172.18.0.0/24, bridge br-front) {says}" in only(
        policy(), HERE, shared
    )


def test_a_kernel_that_cannot_look_for_the_way_back_is_named() -> None:
    warning = only(policy(), HERE, replace(FACTS, way_back=False))
    assert "nor does what a container routes for others" in warning


def test_of_a_bridge_that_cannot_be_written_it_is_not_said_that_docker_will_be_asked() -> None:
    assert "until Docker was asked" in cut_off_text("virbr0")
    text = cut_off_text("a*b")
    assert "until Docker was asked" not in text
    assert "rename it" in text


def test_while_observing_nothing_is_said_to_be_cut_off_or_to_pass() -> None:
    (loss,) = lost_without_seal(HostFacts(nf_tables=False))
    observing = policy(mode="observe")
    (told,) = while_observing(observing, [loss])
    assert told == f"once this is enforced: {loss}"
    assert isinstance(told, Remark)
    assert told.code == "no-seal"
    assert while_observing(policy(), [loss]) == (loss,)
    assert while_observing(observing, ["plain text"]) == ("plain text",)
