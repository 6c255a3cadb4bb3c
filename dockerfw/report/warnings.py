"""What a policy that is valid still gets wrong on this host: rules that help nobody, and promises
that this kernel cannot keep.

Takes a policy, an inventory and facts of the host; gives sentences for people, each with the
next step, and with ``FILE:LINE`` where a statement is concerned. Never changes a verdict, never
reads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dockerfw.model.docker_names import GATEWAY_BRIDGE
from dockerfw.model.host import FirstPacket, HostFacts
from dockerfw.model.inventory import Container, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    Allow,
    BridgeSource,
    Deny,
    HostSource,
    InterfaceSource,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.rules.compiler import SPAN_OVER
from dockerfw.rules.ruleset import LONGEST_TIMEOUT
from dockerfw.text import listed, moment, printable, similar_words

Statement = Allow | Deny


def advise(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Warnings, in the order of the policy; those of the host come last. None twice."""
    advisor = _Advisor(policy, inventory)
    found = [
        f"{statement.origin}: {printable(sentence)}"
        for statement in sorted(_statements(policy), key=lambda s: (s.origin.file, s.origin.line))
        for sentence in advisor.of_statement(statement)
    ]
    found += [printable(sentence) for sentence in _of_bridges(inventory, facts)]
    found += lost_without_seal(facts)
    return tuple(dict.fromkeys(found))


def unenforced(policy: Policy, inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Why the policy does not hold on some path here; ``apply`` refuses unless it is told to go on.

    That is P4: packets between two containers of one bridge meet iptables only with br_netfilter.
    """
    blind = [
        family
        for family, seen in zip((4, 6), facts.br_netfilter, strict=True)
        if not seen and family in facts.families and _has_subnet(inventory, family)
    ]
    why = _restricts_same_bridge(policy, inventory)
    if not blind or not why:
        return ()
    names = {4: "bridge-nf-call-iptables", 6: "bridge-nf-call-ip6tables"}
    settings = " ".join(f"net.bridge.{names[f]}=1" for f in blind)
    families = " and ".join(f"IPv{f}" for f in blind)
    reason = (
        f"{listed(why)}, but containers of the same bridge reach each other all the same: "
        f"br_netfilter is off for {families}; run modprobe br_netfilter and sysctl {settings}"
    )
    return (reason,)


def ended(policy: Policy, now: float) -> tuple[str, ...]:
    """Allows whose time is over at that Unix time."""
    return tuple(
        f"{allow.origin}: this rule ended on {moment(allow.end)}: take it out"
        for allow in policy.allows
        if allow.end is not None and allow.ended(now)
    )


def ended_early(policy: Policy, now: float) -> tuple[str, ...]:
    """Allows that last longer than the kernel counts; the daemon renews them, nobody else."""
    counts_to = int(now) + LONGEST_TIMEOUT
    return tuple(
        f"{allow.origin}: this rule lasts until {moment(allow.end)}, but the kernel counts no "
        f"further than {moment(counts_to)} and ends it then: run the daemon"
        for allow in policy.allows
        if allow.end is not None and allow.end > counts_to
    )


def nameless(policy: Policy) -> tuple[str, ...]:
    """``host:`` sources without an address."""
    sources = [s for allow in policy.allows for s in allow.sources]
    return tuple(
        dict.fromkeys(
            f"{source} has no address, so it opens nothing until it has one"
            for source in (*policy.baseline, *sources)
            if isinstance(source, HostSource) and not source.networks
        )
    )


def lost_without_seal(facts: HostFacts) -> tuple[str, ...]:
    """What a kernel without nf_tables cannot give."""
    if facts.nf_tables:
        return ()
    loss = (
        "there is no nf_tables here, so nothing seals the chains: a new Docker network is closed "
        "only by the next apply, and denied packets pass while Docker or another tool moves its "
        "jump or flushes iptables; install nftables"
    )
    return (loss,)


# Not "ip": "0.0.0.0" in daemon.json: that is Docker's default, and means [::] as well.
_WITHOUT = 'set "userland-proxy": false in daemon.json, or publish at 0.0.0.0 (-p 0.0.0.0:80:80)'
_FIRST_PACKET: Mapping[FirstPacket, str] = {
    "elsewhere": (
        "run Docker in dockerd.slice (the drop-in docker.service.d/dockerfw.conf, then restart "
        f"Docker); or {_WITHOUT}"
    ),
    "unsupported": f"nft or the kernel has no socket cgroupv2 or reject: {_WITHOUT}",
    "no cgroup2": f"this host has no cgroup version 2: {_WITHOUT}",
}


def proxy_next_step(facts: HostFacts) -> str | None:
    """What closes docker-proxy from its first packet; None where nothing is to be done."""
    return _FIRST_PACKET.get(facts.proxy.first_packet)


def hints(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """What could be better and is nobody's fault: for people, and never an error."""
    step = proxy_next_step(facts)
    publishes = any(
        not binding.host_address.is_loopback
        for container in inventory.containers
        for binding in container.ports
    )
    if step is None or not publishes:
        return ()
    why = "a port of docker-proxy (IPv6, mostly) is closed once dockerfw knows of it, not before"
    return (f"{why}; {step}",)


def docker_rules_gone(inventory: Inventory, facts: HostFacts) -> tuple[str, ...]:
    """Another tool has flushed what Docker alone can write again."""
    if facts.docker_rules or not any(inventory.endpoints(c) for c in inventory.containers):
        return ()
    gone = (
        "Docker's own rules are gone: restart Docker (systemctl restart docker); until then its "
        "containers have no NAT"
    )
    return (gone,)


def _statements(policy: Policy) -> tuple[Statement, ...]:
    return (*policy.allows, *policy.denies)


def _has_subnet(inventory: Inventory, family: int) -> bool:
    return any(s.version == family for n in inventory.bridges() for s in n.subnets)


def _restricts_same_bridge(policy: Policy, inventory: Inventory) -> list[str]:
    """What in the policy parts containers of one bridge."""
    why = []
    if not any(isinstance(s, BridgeSource) for s in policy.baseline):
        why.append("the baseline is without bridge")
    bridges = {n.bridge for n in inventory.bridges() if n.bridge}
    why += [
        f"{deny.origin} denies containers"
        for deny in policy.denies
        if not deny.published and any(_from_inside(s, bridges) for s in deny.sources)
    ]
    return why


def _from_inside(source: Source, bridges: Iterable[str]) -> bool:
    if isinstance(source, InterfaceSource):
        return any(source.matches(bridge) for bridge in bridges)
    return isinstance(source, BridgeSource | SelectorSource)


def _of_bridges(inventory: Inventory, facts: HostFacts) -> Iterator[str]:
    """Docker bridges with a NIC or a VM's tap in them."""
    on_host = {b.name: b.foreign_ports for b in facts.bridges}
    for network in inventory.bridges():
        foreign = network.foreign_ports or on_host.get(network.bridge or "", ())
        if foreign:
            yield (
                f"{listed(foreign)} in the Docker bridge {network.bridge} (network "
                f"{network.name}) {'is' if len(foreign) == 1 else 'are'} not Docker's: the bridge "
                "counts as an outside interface, and only its containers' own addresses as "
                f"inside; take {'it' if len(foreign) == 1 else 'them'} out, or allow from "
                f"iface:{network.bridge}"
            )


# --- one statement -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """A container that ``to`` names; ``exactly``: by its own name and nothing else."""

    container: Container
    exactly: bool


class _Advisor:
    def __init__(self, policy: Policy, inventory: Inventory) -> None:
        self.policy = policy
        self.inventory = inventory
        self.guarded = {
            name
            for statement in _statements(policy)
            if any(
                isinstance(spec, PortRange) and spec.last - spec.first < SPAN_OVER
                for spec in statement.ports
            )
            for name in _exact_names(statement.to)
        }

    def of_statement(self, statement: Statement) -> Iterator[str]:
        yield from self._sources(statement)
        named = self._named(statement)
        if statement.to:
            yield from self._selectors(statement, named)
        for one in named if statement.to else ():
            yield from self._sidecar(statement, one)
            yield from self._host_network(statement, one)
            yield from self._elsewhere(statement, one)
        if isinstance(statement, Allow) and statement.ports:
            yield from self._ports(statement, named)
        if statement.published and (named or not statement.to):
            yield from self._published(statement, named)

    def _named(self, statement: Statement) -> list[_Named]:
        exact = _exact_names(statement.to)
        chosen = self.inventory.select(statement.to)
        return [_Named(container, container.name in exact) for container, _ in chosen]

    # rules that match nobody

    def _sources(self, statement: Statement) -> Iterator[str]:
        for source in statement.sources:
            if isinstance(source, SelectorSource) and not self.inventory.select([source.selector]):
                yield (
                    f"from {source} matches no running container, so it "
                    f"{_effect(statement)} nothing; {self._meant(source.selector)}"
                )

    def _selectors(self, statement: Statement, named: list[_Named]) -> Iterator[str]:
        missing = False
        for selector in statement.to:
            if any(self.inventory.matches(c, selector) for c in self.inventory.containers):
                continue
            missing = missing or not selector.negated
            if selector.negated:
                yield f"{selector} takes no container out; {self._meant(selector)}"
            else:
                yield (
                    f"{selector} matches no running container, so it {_effect(statement)} "
                    f"nothing; {self._meant(selector)}"
                )
        if not named and not missing:
            yield f"no container is left after the ! in to: the rule {_effect(statement)} nothing"

    def _meant(self, selector: Selector) -> str:
        """The next step for a selector that matches nothing."""
        near = similar_words(selector.name, self._words(selector))
        if near:
            return f"did you mean {listed([printable(word) for word in near])}?"
        return "start it, or correct it by docker ps"

    def _words(self, selector: Selector) -> set[str]:
        """What a selector of this kind could name here."""
        containers = self.inventory.containers
        match selector.kind:
            case "container":
                return {c.name for c in containers}
            case "compose":
                return self._label_values("com.docker.compose.project")
            case "label":
                return {key for c in containers for key, _ in c.labels}
            case "image":
                return {c.image for c in containers}
            case "network":
                return {n.name for n in self.inventory.networks}
            case "service":
                return self._label_values("com.docker.swarm.service.name")

    def _label_values(self, key: str) -> set[str]:
        return {value for c in self.inventory.containers if (value := c.label(key)) is not None}

    # containers that are somewhere else

    def _sidecar(self, statement: Statement, one: _Named) -> Iterator[str]:
        network_owner = self.inventory.network_owner(one.container)
        if not one.exactly or network_owner.id == one.container.id:
            return
        if any(c.id == network_owner.id for c, _ in self.inventory.select(statement.to)):
            return
        yield (
            f"{one.container.name} is at the addresses of {network_owner.name}: the rule is for "
            f"both; name {network_owner.name} in to as well"
        )

    def _host_network(self, statement: Statement, one: _Named) -> Iterator[str]:
        """P8: only exact names with port numbers count there."""
        if not self.inventory.on_host_network(one.container) or statement.published:
            return
        if one.container.name in self.guarded:
            return
        name = one.container.name
        yield (
            f"{name} is on the host's network, where a rule guards only the port numbers that it "
            f"writes for that very name, in ranges of up to {SPAN_OVER:,} ports: write "
            f'to = "{name}" with ports, such as ports = [9100]'
        )

    def _elsewhere(self, statement: Statement, one: _Named) -> Iterator[str]:
        """P9: on no network that this host's kernel filters."""
        container = self.inventory.network_owner(one.container)
        if container.host_network or self.inventory.endpoints(container):
            return
        networks = [self.inventory.network(e.network_id) for e in container.endpoints]
        past_us = [f"{n.driver} network {n.name}" for n in networks if _past_us(n) and n]
        if past_us:
            yield (
                f"{one.container.name} is only on the {listed(past_us)}, which cannot be filtered "
                f"here: the rule {_effect(statement)} nothing; filter it where that network ends, "
                "or move it to a bridge network"
            )

    # ports

    def _ports(self, allow: Allow, named: list[_Named]) -> Iterator[str]:
        ranges = [spec for spec in allow.ports if isinstance(spec, PortRange)]
        for one in named:
            if PortKeyword.ALL in allow.ports or self.inventory.on_host_network(one.container):
                continue
            bindings = self.inventory.published(one.container)
            helped = [b for b in bindings if _covers(ranges, b.protocol, b.container_port)]
            if PortKeyword.PUBLISHED in allow.ports:
                helped = list(bindings)
                if (
                    not bindings
                    and one.exactly
                    and not self.inventory.network_owner(one.container).routed
                ):
                    yield (
                        f'{one.container.name} publishes no port, so ports = ["published"] opens '
                        "nothing there: write the numbers of its ports"
                    )
            yield from self._loopback(one.container, helped)
            if not helped and (one.exactly or not self._helps_any(ranges, named)):
                yield from self._mistaken(one.container, ranges, bindings)

    def _helps_any(self, ranges: list[PortRange], named: list[_Named]) -> bool:
        return any(
            _covers(ranges, b.protocol, b.container_port)
            for one in named
            for b in self.inventory.published(one.container)
        )

    def _mistaken(
        self, container: Container, ranges: list[PortRange], bindings: tuple[PublishedPort, ...]
    ) -> Iterator[str]:
        """Host ports written as container ports, and ports of the other protocol."""
        said: set[PortRange] = set()
        for binding in bindings:
            for spec in ranges:
                if spec in said:
                    continue
                if spec.protocol == binding.protocol and binding.host_port in spec:
                    said.add(spec)
                    inner = _written(binding.container_port, binding.protocol)
                    outer = _written(binding.host_port, binding.protocol)
                    yield (
                        f"{container.name} has no port {_spec_text(spec)}; it publishes "
                        f"{_bare(inner)} as {_bare(outer)}: write ports = [{inner}] or "
                        f"published = [{outer}]"
                    )
                elif spec.protocol != binding.protocol and binding.container_port in spec:
                    if _covers(_of(bindings), spec.protocol, binding.container_port):
                        continue
                    said.add(spec)
                    inner = f"{binding.container_port}/{binding.protocol}"
                    yield (
                        f"{container.name} publishes {inner} and no port {spec}: "
                        f'write ports = ["{inner}"]'
                    )

    def _loopback(self, container: Container, helped: Iterable[PublishedPort]) -> Iterator[str]:
        """Bindings that this host alone reaches, where the port has no other."""
        helped = list(helped)
        for binding in helped:
            port = (binding.protocol, binding.container_port)
            same = [b for b in helped if (b.protocol, b.container_port) == port]
            if binding == same[0] and all(b.host_address.is_loopback for b in same):
                yield _loopback_text(container, binding)

    def _published(self, statement: Statement, named: list[_Named]) -> Iterator[str]:
        if any(n.name == GATEWAY_BRIDGE for n in self.inventory.networks):
            return  # a swarm's published ports are in no inventory
        containers = (
            [one.container for one in named] if statement.to else (list(self.inventory.containers))
        )
        for spec in statement.published:
            leading = [
                (c, b) for c in containers for b in self.inventory.published(c) if _leads(spec, b)
            ]
            reached = [b for _, b in leading if not b.host_address.is_loopback]
            if not leading:
                yield self._unpublished(statement, spec, containers)
            elif not reached and isinstance(statement, Allow):
                yield _loopback_text(*leading[0])

    def _unpublished(
        self, statement: Statement, spec: PublishedSpec, containers: list[Container]
    ) -> str:
        who = "no container of to" if statement.to else "no running container"
        start = f"{who} publishes host port {spec}, so it {_effect(statement)} nothing"
        for container in containers:
            for binding in self.inventory.published(container):
                written = _written(binding.host_port, binding.protocol)
                if binding.protocol != spec.ports.protocol:
                    continue
                if binding.host_port in spec.ports:
                    return (
                        f"{start}: {container.name} publishes it on {binding.host_address}; "
                        f"write published = [{written}]"
                    )
                if binding.container_port in spec.ports:
                    return (
                        f"{start}: {container.name} publishes {binding.container_port} as "
                        f"{binding.host_port}; write published = [{written}]"
                    )
        return f"{start}; start the container, or write a port that docker ps shows"


def _exact_names(selectors: Iterable[Selector]) -> frozenset[str]:
    return frozenset(s.name for s in selectors if s.exact_container)


def _effect(statement: Statement) -> str:
    return "opens" if isinstance(statement, Allow) else "closes"


def _past_us(network: Network | None) -> bool:
    return network is not None and network.driver in ("macvlan", "ipvlan", "overlay")


def _covers(ranges: Iterable[PortRange], protocol: str, port: int) -> bool:
    return any(spec.protocol == protocol and port in spec for spec in ranges)


def _of(bindings: Iterable[PublishedPort]) -> list[PortRange]:
    """The container ports that these bindings lead to."""
    return [PortRange(b.protocol, b.container_port, b.container_port) for b in bindings]


def _leads(spec: PublishedSpec, binding: PublishedPort) -> bool:
    if binding.protocol != spec.ports.protocol or binding.host_port not in spec.ports:
        return False
    if spec.address is None or spec.address == binding.host_address:
        return True
    return binding.wildcard and spec.address.version == binding.host_address.version


def _written(port: int, protocol: str) -> str:
    """As it is written in a list of the policy."""
    return str(port) if protocol == "tcp" else f'"{port}/{protocol}"'


def _bare(written: str) -> str:
    return written.strip('"')


def _spec_text(spec: PortRange) -> str:
    text = str(spec)
    return text.removesuffix("/tcp")


def _loopback_text(container: Container, binding: PublishedPort) -> str:
    host = binding.host_address
    where = f"[{host}]" if host.version == 6 else str(host)
    port = _bare(_written(binding.container_port, binding.protocol))
    return (
        f"{container.name} publishes {port} on {where}:{binding.host_port}, which this host alone "
        f"reaches: no rule opens that host port; publish it as "
        f"{binding.host_port}:{port} if others should reach it"
    )
