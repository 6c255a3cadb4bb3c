"""Ports that help nobody, in sentences that say what to write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.model.policy import Policy
from dockerfw.report.warnings import advise
from tests.build import allow, bindings, container, deny, inventory, network, policy
from tests.unit.report.scene import ADMIN, FACTS, FRONT, HERE, WEB, WORKER, only, opening


def test_a_host_port_in_ports_is_the_sentence_that_the_manual_has() -> None:
    assert only(opening("web", 8080)) == (
        "config.toml:12: web has no port 8080; it publishes 80 as 8080: write ports = [80] or "
        "published = [8080]"
    )


@pytest.mark.parametrize(
    "rules, said",
    [
        (opening("dns", "53/udp"), 'ports = ["5353/udp"] or published = ["53/udp"]'),
        (opening("dns", 5353), 'no port 5353/tcp: write ports = ["5353/udp"]'),
        (opening("web", "8000-8100"), "web has no port 8000-8100; "),
        (opening("we*", 8080), "web has no port 8080; "),
        (opening("worker", "published"), "worker publishes no port"),
        (opening("admin", 90), "127.0.0.1:9090, which this host alone reaches"),
        (opening("admin", "published"), "which this host alone reaches"),
        (opening(published=9090), "which this host alone reaches"),
        (
            opening(published=80),
            "host port 80/tcp, so it opens nothing: web publishes 80 as 8080; write published = [",
        ),
        (
            opening(published="192.0.2.10:9090"),
            "admin publishes it on 127.0.0.1; write published = [9090]",
        ),
        (opening("shop-db-1", published=8080), "no container of to publishes host port 8080/tcp"),
    ],
)
def test_ports_that_open_nothing_say_what_to_write(rules: Policy, said: str) -> None:
    assert said in only(rules)


def test_a_pattern_that_helps_one_container_does_not_nag_about_the_others() -> None:
    app = container("app", "front 172.18.0.9", published="80:8080")
    here = replace(HERE, containers=(WEB, app))
    assert advise(opening("*", 8080), here, FACTS) == ()
    assert "web has no port 8080" in only(opening(("web", "app"), 8080), here)


def test_a_routed_port_counts_as_published() -> None:
    routed = replace(WORKER, routed=(("tcp", 80),))
    here = replace(HERE, containers=(routed,))
    assert advise(opening("worker", "published"), here, FACTS) == ()


def test_a_port_bound_to_loopback_and_elsewhere_is_fine() -> None:
    both = replace(ADMIN, ports=(*ADMIN.ports, *bindings("9091:90")))
    here = replace(HERE, containers=(both,))
    assert advise(opening("admin", 90), here, FACTS) == ()


def test_a_swarm_may_publish_what_no_container_does() -> None:
    gateway = network("docker_gwbridge", bridge="docker_gwbridge")
    swarm = replace(HERE, networks=(*HERE.networks, gateway))
    rules = opening(published=8443)
    assert advise(rules, swarm, FACTS) == ()
    assert "8443" in only(rules)


# --- one port, two protocols ---------------------------------------------------------------------

BOTH = inventory(
    container("ns", "front 172.18.0.9", published=("53:53", "53:53/udp")),
    FRONT,
    engine="26.1.5",
)


def test_a_port_that_is_published_for_the_other_protocol_as_well_is_named() -> None:
    warning = only(opening("ns", 53), BOTH)
    assert "ns publishes 53/udp as well as 53/tcp, and no rule names it" in warning
    assert 'write ports = [53, "53/udp"] if it should be open' in warning


@pytest.mark.parametrize(
    "rules",
    [
        opening("ns", (53, "53/udp")),
        opening("ns", "published"),
        opening("ns", published=53),
        policy(allow("any", to="ns", ports=53), deny("any", to="ns", ports="53/udp")),
        policy(allow("any", to="ns", ports=53), allow("bridge", published="53/udp")),
    ],
)
def test_who_names_both_protocols_knows(rules: Policy) -> None:
    assert advise(rules, BOTH, FACTS) == ()
