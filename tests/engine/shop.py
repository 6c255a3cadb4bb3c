"""A real engine with a container for each kind of path, and packets to them as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.engine.scene import OFFICE, STRANGER, source_for
from tests.lab.engine import VERSIONS, Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.packet import Packet
from tests.lab.place import Answer, Place, Probe, patient, probe
from tests.lab.wait import becomes_true

ALL = frozenset(VERSIONS)
OLD = frozenset({"20.10", "26.1"})  # from 28 on Docker itself refuses what is routed directly
NONE: frozenset[str] = frozenset()
SECOND_V4, SECOND_V6 = "203.0.113.3", "2001:db8:1::3"
BROADCAST = "203.0.113.255"
ON_THE_LINK = ("fe80::cbff:fe00:7101", "fe80::cbff:fe00:7102")
"""The host and its neighbour, by the addresses that IPv6 gives every interface."""


@dataclass(frozen=True, slots=True)
class Row:
    """One packet.

    ``target`` is an address, or a container's: ``web``, ``six/6`` (its IPv6 one), ``multi@dual``.
    ``syn`` is a SYN made by hand; ``sctp`` is an INIT that must be seen in the target itself;
    ``heard`` is a datagram that must come to ``dns``: docker-proxy's answer may be lost, as
    older ones do not give it from the address that was asked.
    """

    path: str
    start: str
    protocol: Literal["tcp", "udp", "icmp", "syn", "sctp", "heard"]
    target: str
    port: int
    before: frozenset[str]
    after: frozenset[str]

    def __str__(self) -> str:
        return f"{self.path}: {self.start} to {self.target} {self.port}/{self.protocol}"


BY_HAND = ("syn", "sctp", "heard")


class Shop:
    """One engine with a container for each kind of path."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self.host = host
        self.engine = engine
        host.ip(
            f"addr add {SECOND_V4}/24 dev eth0",
            # Not one that the host would speak from by itself.
            f"addr add {SECOND_V6}/64 dev eth0 nodad preferred_lft 0",
        )
        create = ("network", "create")
        engine.docker(*create, "--ipv6", "--subnet", "fd00:6::/64", "dual")
        own_name = ("-o", "com.docker.network.bridge.name=shopfront")
        engine.docker(*create, *own_name, "--ipv6", "--subnet", "fd00:7::/64", "shop")
        self.containers: dict[str, EngineContainer] = {}
        self._asked: dict[str, dict[str, Any]] = {}
        self._run("web", "-p", "8080:80")
        self._run("dns", "-p", "5353:53/udp")
        self._run("twice", "-p", "8081:80", "-p", "8082:80")
        self._run("bound", "-p", f"{HOST_V4}:8443:80", "-p", f"[{HOST_V6}]:8444:80")
        self._run("range", "-p", "8100-8105:8100-8105")
        self._run("hidden")
        self._run("local", "-p", "127.0.0.1:9090:80")
        self._run("six", "--network", "dual", "-p", "8086:80")
        self._run("sixtwo", "--network", "dual")
        self._run("named", "--network", "shop", "-p", "8089:80")
        self._run("multi", "--network", "dual", "-p", "8090:80")
        engine.docker("network", "connect", "shop", "multi")
        self._run("donor", "-p", "8087:8000")
        # In a shared network Docker allows no host name of its own.
        self._run("sidecar", "--network", "container:donor", "--hostname", "", port="8000")
        self._run("hostnet", "--network", "host", port="8088")
        self.containers["dns"].listen("53/udp")
        self.containers["range"].listen(*(f"{port}/tcp" for port in range(8100, 8106)))
        host.listen("22/tcp", "123/udp")
        host.listen("8443/tcp", address=SECOND_V4)
        host.listen("8444/tcp", address=SECOND_V6)
        host.outside.listen("80/tcp", "53/udp")

    def _run(self, name: str, *options: str, port: str = "80") -> None:
        self.containers[name] = self.engine.container(name, *options, env={"PORT": port})

    # --- asking --------------------------------------------------------------------------------

    def address(self, target: str) -> str:
        """``web``, ``six/6``, ``multi@dual``; what is no container is an address already."""
        name, _, family = target.partition("/")
        container, _, network = name.partition("@")
        if container not in self.containers:
            return target
        key = "GlobalIPv6Address" if family else "IPAddress"
        networks = self._networks(self.containers[container])
        addresses = [str(n[key]) for at, n in networks.items() if network in ("", at)]
        return addresses[0]

    def _networks(self, container: EngineContainer) -> dict[str, Any]:
        """By name, as Docker has them; read once, as that takes a process."""
        if container.id not in self._asked:
            described = self.engine.inspect(container.id)
            self._asked[container.id] = described["NetworkSettings"]["Networks"]
        return self._asked[container.id]

    def probe(self, row: Row) -> Probe:
        assert row.protocol in ("tcp", "udp", "icmp")
        target = self.address(row.target)
        place, source = self._start(row.start, target)
        return Probe(place, row.protocol, target, row.port, source)

    def _start(self, start: str, target: str) -> tuple[Place, str | None]:
        callers = {"office": OFFICE, "stranger": STRANGER, "neighbour": ON_THE_LINK}
        if start in callers:
            return self.host.outside, source_for(callers[start], target)
        return (self.host if start == "host" else self.containers[start]), None

    def by_hand(self, row: Row, *, patience: float) -> Answer:
        """A packet that no socket of ours would send, or answer."""
        target = self.address(row.target)
        outside = self.host.outside
        place, source = self._start(row.start, target)
        if row.protocol == "heard":
            return self._heard(Probe(place, "udp", target, row.port, source), patience)
        assert source is not None
        if row.protocol == "syn":
            arrived = outside.syn(target, row.port, source=source, patience=patience)
        else:
            with self.containers[row.target].sniff() as sniffer:
                outside.forge(Packet("sctp", source, target, 40000, row.port))
                arrived = becomes_true(
                    lambda: any(p.protocol == "sctp" for p in sniffer.seen()), patience
                )
        return Answer("connected" if arrived else "silent")

    def _heard(self, datagram: Probe, patience: float) -> Answer:
        dns = self.containers["dns"]
        dns.received()
        probe([replace(datagram, broadcast=True)], 0.05)
        return Answer(
            "connected" if becomes_true(lambda: bool(dns.received()), patience) else "silent"
        )

    def answers(self, wanted: Sequence[tuple[Row, bool]]) -> dict[str, Answer]:
        """Return what became of each row's packet, by the row's text; True: it should arrive."""
        socket = [(row, open_) for row, open_ in wanted if row.protocol not in BY_HAND]
        answers = patient([(self.probe(row), open_) for row, open_ in socket])
        seen = {str(row): answer for (row, _), answer in zip(socket, answers, strict=True)}
        for row, open_ in wanted:
            if row.protocol in BY_HAND:
                seen[str(row)] = self.by_hand(row, patience=3.0 if open_ else 0.3)
        return seen

    def status(self) -> dict[str, Any]:
        """``dockerfw status --json``, whatever its exit status."""
        document: dict[str, Any] = json.loads(
            self.host.dockerfw("status", "--json", check=False).stdout
        )
        return document
