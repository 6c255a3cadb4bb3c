"""What a valid policy gets wrong on this host, in sentences that say what to do."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from dockerfw.model.host import Bridge, FirstPacket, HostFacts, Proxy
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PortSpec,
    Protocol,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.report.host_warnings import (
    docker_rules_gone,
    hints,
    lost_without_seal,
    proxy_next_step,
    unenforced,
)
from dockerfw.report.warnings import advise

ORIGIN = Origin("config.toml", 12)
ANY = (AnySource(),)
FACTS = HostFacts(br_netfilter=(True, True))
EVERYWHERE = ("0.0.0.0", "::")


def published(
    host_port: int,
    container_port: int,
    protocol: Protocol = "tcp",
    on: tuple[str, ...] = EVERYWHERE,
) -> tuple[PublishedPort, ...]:
    return tuple(
        PublishedPort(ip_address(host), host_port, container_port, protocol) for host in on
    )


def container(
    name: str, *ports: tuple[PublishedPort, ...], network: str = "front", last: int = 2
) -> Container:
    endpoint = Endpoint(network, f"id-{network}", IPv4Address(f"172.18.0.{last}"))
    return Container(f"id-{name}", name, endpoints=(endpoint,), ports=sum(ports, ()))


FRONT = Network("id-front", "front", "bridge", "br-front", (ip_network("172.18.0.0/24"),))
LAN = Network("id-lan", "lan", "macvlan", None, (ip_network("192.0.2.0/24"),))
WEB = container("web", published(8080, 80))
DB = container("shop-db-1", published(5432, 5432), last=3)
DNS = container("dns", published(53, 5353, "udp"), last=4)
ADMIN = container("admin", published(9090, 90, on=("127.0.0.1",)), last=5)
WORKER = container("worker", last=6)
EXPORTER = Container("id-exporter", "exporter", host_network=True)
SIDECAR = Container("id-sidecar", "sidecar", network_owner="id-web")
CAMERA = container("camera", network="lan", last=7)
HERE = Inventory(
    (WEB, DB, DNS, ADMIN, WORKER, EXPORTER, SIDECAR, CAMERA), (FRONT, LAN), engine="26.1.5"
)


def named(*names: str) -> tuple[Selector, ...]:
    return tuple(Selector("container", n.removeprefix("!"), negated=n[0] == "!") for n in names)


def port(number: int, protocol: Protocol = "tcp", last: int | None = None) -> PortRange:
    return PortRange(protocol, number, last or number)


def allow(
    to: tuple[Selector, ...] = (),
    ports: tuple[PortSpec, ...] = (),
    published: tuple[PublishedSpec, ...] = (),
    sources: tuple[Source, ...] = ANY,
) -> Policy:
    return Policy(allows=(Allow(ORIGIN, sources, to, ports, published),))


def deny(to: tuple[Selector, ...] = (), sources: tuple[Source, ...] = ANY) -> Policy:
    return Policy(denies=(Deny(ORIGIN, sources, to),))


def only(policy: Policy, inventory: Inventory = HERE, facts: HostFacts = FACTS) -> str:
    """The one warning that there is."""
    found = advise(policy, inventory, facts)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        allow(named("web"), (port(80),)),
        allow(named("web"), (port(80), port(8080))),
        allow(named("web"), (port(9000),)),
        allow(named("web", "shop-*"), (PortKeyword.PUBLISHED,)),
        allow(named("worker"), (port(80),)),
        allow(named("worker"), (PortKeyword.ICMP,)),
        allow(named("*", "!admin", "!camera", "!exporter"), (PortKeyword.ALL,)),
        allow(named("exporter"), (port(9100),)),
        allow(published=(PublishedSpec(port(8080)),)),
        allow(published=(PublishedSpec(port(8080), IPv4Address("192.0.2.10")),)),
        allow(named("web"), published=(PublishedSpec(port(8000, last=8100)),)),
        deny(),
        deny(named("web"), (SelectorSource(Selector("container", "worker")),)),
    ],
)
def test_a_policy_that_does_what_it_says_draws_no_warning(policy: Policy) -> None:
    assert advise(policy, HERE, FACTS) == ()


# --- nobody is matched ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy, said",
    [
        (allow(named("wbe"), (port(80),)), ("wbe matches no", "opens nothing", "you mean web?")),
        (allow(named("db"), (port(80),)), ("did you mean shop-db-1?",)),
        (allow(named("zzz"), (port(80),)), ("zzz matches no", "docker ps")),
        (deny(named("wbe")), ("wbe matches no", "closes nothing")),
        (
            allow((Selector("compose", "shop", "db"),), (port(80),)),
            ("compose:shop/db matches no",),
        ),
        (allow(named("web", "wbe"), (port(80),)), ("wbe matches no",)),
        (allow(named("web", "!wbe"), (port(80),)), ("!wbe takes no container out",)),
        (allow(named("web", "!web"), (port(80),)), ("no container is left",)),
        (
            allow(
                named("web"),
                (port(80),),
                sources=(SelectorSource(Selector("container", "wroker")),),
            ),
            ("from container:wroker matches no", "did you mean worker?"),
        ),
    ],
)
def test_a_selector_that_matches_nothing_is_named(policy: Policy, said: tuple[str, ...]) -> None:
    warning = only(policy)
    assert warning.startswith("config.toml:12: ")
    assert all(words in warning for words in said), warning


def test_warnings_come_in_the_order_of_the_policy() -> None:
    later = Deny(replace(ORIGIN, line=3), ANY, named("nobody"))
    policy = replace(allow(named("zzz"), (port(80),)), denies=(later,))
    found = advise(policy, HERE, FACTS)
    assert [w.split(" ")[0] for w in found] == ["config.toml:3:", "config.toml:12:"]


# --- ports ---------------------------------------------------------------------------------------


def test_a_host_port_in_ports_is_the_sentence_that_the_manual_has() -> None:
    assert only(allow(named("web"), (port(8080),))) == (
        "config.toml:12: web has no port 8080; it publishes 80 as 8080: write ports = [80] or "
        "published = [8080]"
    )


@pytest.mark.parametrize(
    "policy, said",
    [
        (allow(named("dns"), (port(53, "udp"),)), 'ports = ["5353/udp"] or published = ["53/udp"]'),
        (allow(named("dns"), (port(5353),)), 'no port 5353/tcp: write ports = ["5353/udp"]'),
        (allow(named("web"), (port(8000, last=8100),)), "web has no port 8000-8100; "),
        (allow(named("we*"), (port(8080),)), "web has no port 8080; "),
        (allow(named("worker"), (PortKeyword.PUBLISHED,)), "worker publishes no port"),
        (allow(named("admin"), (port(90),)), "127.0.0.1:9090, which this host alone reaches"),
        (allow(named("admin"), (PortKeyword.PUBLISHED,)), "which this host alone reaches"),
        (allow(published=(PublishedSpec(port(9090)),)), "which this host alone reaches"),
        (
            allow(published=(PublishedSpec(port(80)),)),
            "host port 80/tcp, so it opens nothing: web publishes 80 as 8080; write published = [",
        ),
        (
            allow(published=(PublishedSpec(port(9090), IPv4Address("192.0.2.10")),)),
            "admin publishes it on 127.0.0.1; write published = [9090]",
        ),
        (
            allow(named("shop-db-1"), published=(PublishedSpec(port(8080)),)),
            "no container of to publishes host port 8080/tcp",
        ),
    ],
)
def test_ports_that_open_nothing_say_what_to_write(policy: Policy, said: str) -> None:
    assert said in only(policy)


def test_a_pattern_that_helps_one_container_does_not_nag_about_the_others() -> None:
    app = container("app", published(80, 8080), last=9)
    here = replace(HERE, containers=(WEB, app))
    assert advise(allow(named("*"), (port(8080),)), here, FACTS) == ()
    assert "web has no port 8080" in only(allow(named("web", "app"), (port(8080),)), here)


def test_a_routed_port_counts_as_published() -> None:
    routed = replace(WORKER, routed=(("tcp", 80),))
    here = replace(HERE, containers=(routed,))
    assert advise(allow(named("worker"), (PortKeyword.PUBLISHED,)), here, FACTS) == ()


def test_a_port_bound_to_loopback_and_elsewhere_is_fine() -> None:
    both = replace(ADMIN, ports=ADMIN.ports + published(9091, 90))
    here = replace(HERE, containers=(both,))
    assert advise(allow(named("admin"), (port(90),)), here, FACTS) == ()


def test_a_swarm_may_publish_what_no_container_does() -> None:
    gateway = Network("id-gw", "docker_gwbridge", "bridge", "docker_gwbridge")
    swarm = replace(HERE, networks=(*HERE.networks, gateway))
    policy = allow(published=(PublishedSpec(port(8443)),))
    assert advise(policy, swarm, FACTS) == ()
    assert "8443" in only(policy)


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [
        allow(named("exp*"), (port(9100),)),
        allow(named("exporter"), (PortKeyword.ALL,)),
        deny(named("exporter")),
    ],
)
def test_a_host_network_container_wants_its_own_name_and_numbers(policy: Policy) -> None:
    assert 'write to = "exporter" with ports' in only(policy)


def test_a_host_network_container_that_another_rule_names_is_guarded() -> None:
    policy = replace(allow(named("exporter"), (port(9100),)), denies=deny(named("*port*")).denies)
    assert advise(policy, HERE, FACTS) == ()


def test_a_container_on_a_macvlan_alone_is_out_of_reach() -> None:
    warning = only(allow(named("camera"), (port(80),)))
    assert "camera is only on the macvlan network lan" in warning
    assert "opens nothing" in warning
    assert "closes nothing" in only(deny(named("camera")))


def test_a_rule_that_names_a_sidecar_alone_says_whose_addresses_it_has() -> None:
    assert "sidecar is at the addresses of web" in only(allow(named("sidecar"), (port(80),)))
    assert advise(allow(named("sidecar", "web"), (port(80),)), HERE, FACTS) == ()
    assert advise(allow(named("side*"), (port(80),)), HERE, FACTS) == ()


@pytest.mark.parametrize("by", ["inventory", "facts"])
def test_a_bridge_with_a_foreign_port_is_outside(by: str) -> None:
    if by == "inventory":
        mixed = replace(HERE, networks=(replace(FRONT, foreign_ports=("eth1",)), LAN))
        warning = only(Policy(), mixed)
    else:
        facts = replace(FACTS, bridges=(Bridge("br-front", ("eth1",)), Bridge("virbr0", ("tap0",))))
        warning = only(Policy(), HERE, facts)
    assert "eth1 in the Docker bridge br-front (network front) is not Docker's" in warning


def test_escape_sequences_in_names_do_not_reach_the_terminal() -> None:
    odd = replace(FRONT, name="front\x1b[2J\n", foreign_ports=("eth1",))
    assert only(Policy(), replace(HERE, networks=(odd, LAN))).isprintable()


# --- what this kernel cannot keep ----------------------------------------------------------------

NO_BRIDGE = Policy(baseline=())
BLIND = HostFacts(br_netfilter=(False, False))


@pytest.mark.parametrize(
    "policy, said",
    [
        (NO_BRIDGE, "the baseline is without bridge"),
        (deny(sources=(BridgeSource(),)), "config.toml:12 denies containers"),
        (
            deny(named("web"), (SelectorSource(Selector("container", "worker")),)),
            "config.toml:12 denies containers",
        ),
        (deny(sources=(InterfaceSource("br-*"),)), "config.toml:12 denies containers"),
    ],
)
def test_parting_containers_of_one_bridge_needs_br_netfilter(policy: Policy, said: str) -> None:
    (reason,) = unenforced(policy, HERE, BLIND)
    assert said in reason
    assert "modprobe br_netfilter" in reason
    assert "net.bridge.bridge-nf-call-iptables=1" in reason
    assert unenforced(policy, HERE, FACTS) == ()


@pytest.mark.parametrize(
    "policy", [Policy(), deny(), deny(sources=(InterfaceSource("wg0"),)), allow(named("web"))]
)
def test_a_policy_about_the_outside_needs_no_br_netfilter(policy: Policy) -> None:
    assert unenforced(policy, HERE, BLIND) == ()


def test_only_families_that_containers_have_matter() -> None:
    assert unenforced(NO_BRIDGE, HERE, HostFacts(br_netfilter=(True, False))) == ()
    dual = replace(FRONT, subnets=(*FRONT.subnets, ip_network("fd00:18::/64")))
    both = replace(HERE, networks=(dual,))
    (reason,) = unenforced(NO_BRIDGE, both, HostFacts(br_netfilter=(True, False)))
    assert "off for IPv6;" in reason
    assert "bridge-nf-call-ip6tables" in reason
    no_ipv6 = HostFacts(ipv6=False, br_netfilter=(True, False))
    assert unenforced(NO_BRIDGE, both, no_ipv6) == ()


def test_without_a_docker_bridge_there_is_nothing_to_part() -> None:
    assert unenforced(NO_BRIDGE, Inventory(), BLIND) == ()


def test_a_kernel_without_nf_tables_is_warned_of_but_not_refused() -> None:
    bare = replace(FACTS, nf_tables=False)
    assert lost_without_seal(FACTS) == ()
    assert "only by the next apply" in only(Policy(), HERE, bare)
    assert unenforced(Policy(), HERE, bare) == ()


@pytest.mark.parametrize(
    "first_packet, step",
    [
        ("closed", None),
        ("no proxy", None),
        ("elsewhere", "dockerd.slice"),
        ("unsupported", '"userland-proxy": false'),
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
        assert step in hint
        assert not advise(Policy(), HERE, facts), "apply --strict is not for hints"


def test_nobody_is_told_of_docker_proxy_where_nothing_is_published() -> None:
    loopback = container("admin", published(9090, 90, on=("127.0.0.1",)))
    assert hints(Inventory((loopback,), (FRONT,)), FACTS) == ()


def test_rules_of_docker_that_are_gone_matter_while_it_runs_containers() -> None:
    flushed = replace(FACTS, docker_rules=False)
    (sentence,) = docker_rules_gone(HERE, flushed)
    assert "restart Docker" in sentence
    assert docker_rules_gone(HERE, FACTS) == ()
    assert docker_rules_gone(Inventory(), flushed) == ()
