"""What one container event costs in Python: the ledger beside a whole compilation.

Prints figures and asserts nothing. Run from the root of the repository::

    python -m benchmarks.ledger
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network
from statistics import median
from time import process_time

from dockerfw.kernel.ipset.render import element_text
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    Origin,
    Policy,
    PortRange,
    Selector,
    SelectorSource,
)
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import Ledger
from dockerfw.rules.ruleset import IPSet

NETWORKS, PROJECTS, ROUNDS = 70, 50, 40
_ORIGIN = Origin("config.toml", 1)
_FACTS = HostFacts()


def host(count: int) -> Inventory:
    """That many containers on 70 networks, each with a host port in both families."""
    first = int(IPv4Address("10.0.0.0"))
    networks = tuple(
        Network(
            f"{n:064x}", f"net{n}", "bridge", f"br-{n:012x}", (ip_network((first + 256 * n, 24)),)
        )
        for n in range(NETWORKS)
    )
    return Inventory(tuple(_container(n, networks[n % NETWORKS]) for n in range(count)), networks)


def _container(number: int, network: Network) -> Container:
    address = IPv4Address(int(network.subnets[0].network_address) + 2 + number // NETWORKS)
    everywhere = (IPv4Address("0.0.0.0"), IPv6Address("::"))
    project = ("com.docker.compose.project", f"app{number % PROJECTS}")
    return Container(
        f"{number:064x}",
        f"app{number % PROJECTS}-web-{number}",
        labels=(project, ("com.docker.compose.service", "web")),
        endpoints=(Endpoint(network.name, network.id, address),),
        ports=tuple(PublishedPort(one, 20_000 + number, 80, "tcp") for one in everywhere),
    )


def policy() -> Policy:
    """A rule for each project, half of them open to any."""
    office = AddressSource(ip_network("198.51.100.0/24"))
    rules = (
        Allow(
            _ORIGIN,
            (AnySource(),) if n % 2 else (office,),
            (Selector("compose", f"app{n}"),),
            (PortRange("tcp", 80, 80),),
        )
        for n in range(PROJECTS)
    )
    return Policy(allows=tuple(rules))


def with_container_sources(plain: Policy) -> Policy:
    """The same, and each project may be reached by the first one's containers."""
    first = SelectorSource(Selector("compose", "app0"))
    return replace(plain, allows=tuple(replace(a, sources=(first,)) for a in plain.allows[:10]))


def set_text(ipset: IPSet) -> list[str]:
    """As ``ipset restore`` gets it."""
    return [element_text(element) for element in ipset.elements]


def took(work: Callable[[], object]) -> float:
    """Milliseconds of this process: what else the machine does is no matter."""
    begun = process_time()
    work()
    return 1000 * (process_time() - begun)


def events(ledger: Ledger, inventory: Inventory) -> list[float]:
    """Milliseconds of each event, making the inventory included: a container goes, and comes."""
    times = []
    now = 0.0
    for n in range(min(ROUNDS, len(inventory.containers))):
        others = inventory.containers[:n] + inventory.containers[n + 1 :]

        def goes(others: tuple[Container, ...] = others, now: float = now) -> None:
            ledger.update(Inventory(others, inventory.networks), now)

        def comes(now: float = now) -> None:
            ledger.update(Inventory(inventory.containers, inventory.networks), now + 3)

        times += [took(goes), took(comes)]
        ledger.expire(now + 6)
        now += 10
    return times


def main() -> None:
    """Print a table, and what grows by how much."""
    plain = policy()
    cases = {"addresses": plain, "containers as sources": with_container_sources(plain)}
    print(f"{'policy':22} {'containers':>10} {'event median':>13} {'worst':>9}", end=" ")
    print(f"{'new ledger':>11} {'whole compile':>14} {'its text':>9}   (ms)")
    for name, rules in cases.items():
        medians = []
        for count in (50, 1000):
            inventory = host(count)
            made = took(partial(Ledger, rules, inventory, _FACTS))
            times = events(Ledger(rules, inventory, _FACTS), inventory)
            medians.append(median(times))
            fresh = host(count)
            whole = took(partial(compile_ruleset, rules, fresh, _FACTS))
            sets = compile_ruleset(rules, fresh, _FACTS).sets
            text = took(partial(list, map(set_text, sets)))
            print(f"{name:22} {count:10} {medians[-1]:13.2f} {max(times):9.2f}", end=" ")
            print(f"{made:11.0f} {whole:14.0f} {text:9.0f}")
        print(f"{'':22} 1,000 cost {medians[1] / medians[0]:.2f} times what 50 do")


if __name__ == "__main__":
    main()
