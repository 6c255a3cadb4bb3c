"""What each hook and each match costs a packet: many copies of one, in turns with none.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.matches [--rounds N]

One throwaway host with Docker's rules alone carries requests and answers by a published port, as in
`benchmarks.packets`. What is measured stands in the way of both packets, is left by both, and does
nothing: the difference in processor time, by packets and copies, is what one costs. Then the floor:
the least that rules could do that let a request in by its source, with hooks and marks as dockerfw
has them. Printed are nanoseconds and, in brackets, the middle half of the rounds; for the floor, of
a request and its answer together, the ratio as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.packets import LOADS, Bench, host

SLICE = 0.05
COPIES = 60
PACKETS = 2
LOAD = next(load for load in LOADS if load.name == "request and answer, published port")

SETS = f"""\
create m-ip hash:ip
create m-net hash:net
create m-net-port hash:net,port
create m-ip-port-net hash:ip,port,net
create m-net-iface hash:net,iface
create m-source hash:net,port
add m-ip 11.0.0.1
add m-net 11.0.0.0/24
add m-net-port 11.0.0.0/24,tcp:80
add m-ip-port-net 203.0.113.9,tcp:80,11.0.0.0/24
add m-net-iface 172.18.0.0/16,br-a
add m-net-iface 172.19.0.0/16,br-b
add m-source 203.0.113.0/24,tcp:{LOAD.port}
"""

XTABLES: Mapping[str, str] = {
    "a rule without a match: its counter": "",
    "comment, of a rule that is met": "-m comment --comment x",
    "mark": "-m mark --mark 0x10000000/0x10000000",
    "-d, a network": "-d 127.0.0.0/8",
    "-i": "-i lo",
    "tcp flags": "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "conntrack": "-m conntrack --ctstate UNTRACKED",
    "connlabel": "-m connlabel --label 114",
    "addrtype": "-m addrtype --dst-type BROADCAST",
    "rpfilter": "-m rpfilter --invert",
    "set, hash:ip": "-m set --match-set m-ip src",
    "set, hash:net": "-m set --match-set m-net src",
    "set, hash:net,port": "-m set --match-set m-net-port src,dst",
    "set, hash:ip,port,net": "-m set --match-set m-ip-port-net dst,dst,src",
    "set, hash:net,iface": "-m set --match-set m-net-iface src,src",
    "MARK": "-j MARK --set-xmark 0x0/0x30000000",
    "a jump, and back": "-j EMPTY",
}
"""Rules of iptables, none of which ends a packet's way."""

_NEVER = "meta mark 77"
NFT: Mapping[str, str] = {
    "mark": "meta mark & 0x30000000 == 0x30000000 counter",
    "iifname, one": 'iifname "lo" counter',
    "iifname, a set": f"iifname @names {_NEVER}",
    "iifkind": f'meta iifkind "bridge" {_NEVER}',
    "ct state, bits": f"ct state new,related {_NEVER}",
    "ct state, a set": f"ct state {{ new, related }} {_NEVER}",
    "ct direction": f"ct direction reply {_NEVER}",
    "ct label": f"ct label 114 {_NEVER}",
    "fib, the way back": f"fib saddr . iif oif missing {_NEVER}",
    "a set of addresses and ports": f"ip daddr . meta l4proto . th dport @ports {_NEVER}",
}
"""Rules of nft, of the kinds that the seal has."""

HOOKS: Mapping[str, tuple[str, str]] = {
    "inet, prerouting": ("inet", "prerouting"),
    "ip, forward": ("ip", "forward"),
}


class Floor(NamedTuple):
    """``mangle``, ``filter``: rules of iptables; ``before``, ``after``: of nft, behind each."""

    name: str
    mangle: tuple[str, ...] = ()
    filter: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


_BY_SOURCE = "-m set --match-set m-source src,dst -j MARK --set-xmark 0x10000000/0x30000000"
_WAY_BACK = (
    "-m mark ! --mark 0x0/0x30000000 -m rpfilter --invert -j MARK --set-xmark 0x0/0x30000000"
)
_TO_CONTAINER = (
    "-m mark --mark 0x10000000/0x10000000 -m conntrack --ctdir ORIGINAL "
    "-j MARK --set-xmark 0x30000000/0x30000000"
)
_OK = "meta mark & 0x30000000 == 0x30000000"
_SEALED = Floor(
    "",
    (_BY_SOURCE,),
    (_TO_CONTAINER,),
    (f"{_OK} meta mark set meta mark & 0xcfffffff",),
    (f"{_OK} accept", "ct direction reply accept", 'meta oifkind "bridge" drop'),
)
FLOORS = (
    Floor("hooks and jumps, empty"),
    _SEALED._replace(name="and one set of sources, marks, the seal's drop"),
    _SEALED._replace(name="and the way back", mangle=(_BY_SOURCE, _WAY_BACK)),
)


class Profile:
    """One host, and what stands in the way of its packets."""

    def __init__(self, bench: Bench, rounds: int) -> None:
        self._bench = bench
        self._scene = bench.scene
        self._rounds = rounds
        self._scene.host.run(["ipset", "restore"], stdin=SETS)

    def costs(
        self, put: Callable[[], None], take: Callable[[], None], times: int = 1
    ) -> tuple[list[float], float]:
        """Return the difference of each round for one request and its answer, and what they cost
        without, in microseconds.
        """
        more, without = [], []
        for _ in range(times * self._rounds):
            take()
            before = self._bench.cost(LOAD, SLICE)
            put()
            between = self._bench.cost(LOAD, SLICE)
            take()
            alone = (before + self._bench.cost(LOAD, SLICE)) / 2
            more.append(between - alone)
            without.append(alone)
        return more, median(without)

    def one(self, name: str, put: Callable[[int], None]) -> None:
        """``put`` puts so many copies of it in the way."""
        more, _ = self.costs(partial(put, COPIES), partial(put, 0))
        low, middle, high = (1000 * q / PACKETS / COPIES for q in quantiles(more, n=4))
        print(f"  {name:40} {middle:6.0f} ns  ({low:.0f} to {high:.0f})", flush=True)

    # --- what stands there ---------------------------------------------------------------------

    def chain(self, rule: str, copies: int) -> None:
        """Rules of iptables in mangle PREROUTING, where every packet comes by."""
        lines = [f"-A ALL {rule}"] * copies
        rules = ["*mangle", ":ALL - [0:0]", ":EMPTY - [0:0]", *lines, "COMMIT\n"]
        self._scene.restore(4, "\n".join(rules))

    def rules(self, rule: str, copies: int) -> None:
        """Rules of nft, right after these."""
        self._nft(
            "add table inet m",
            "delete table inet m",
            "add table inet m",
            'add set inet m names { type ifname; elements = { "virbr8", "virbr9" }; }',
            "add set inet m ports { type ipv4_addr . inet_proto . inet_service; }",
            "add element inet m ports { 203.0.113.9 . 6 . 80, 203.0.113.9 . 6 . 81 }",
            "add chain inet m copies { type filter hook prerouting priority -149; }",
            *[f"add rule inet m copies {rule}"] * copies,
        )

    def hooks(self, family: str, hook: str, copies: int) -> None:
        self._nft(
            f"add table {family} m",
            f"delete table {family} m",
            f"add table {family} m",
            *(
                f"add chain {family} m c{n} {{ type filter hook {hook} priority {n - 140}; }}"
                for n in range(copies)
            ),
        )

    def floor(self, floor: Floor) -> None:
        mangle = [f"-A ALL {rule}" for rule in floor.mangle]
        passed = [f"-A ALL {rule}" for rule in floor.filter]
        lines = ["*mangle", ":ALL - [0:0]", "-A PREROUTING -j ALL", *mangle, "COMMIT"]
        lines += ["*filter", ":ALL - [0:0]", "-I DOCKER-USER 1 -j ALL", *passed, "COMMIT\n"]
        self._scene.restore(4, "\n".join(lines))
        self._nft(
            "add table inet m",
            "add chain inet m before { type filter hook prerouting priority -149; }",
            "add chain inet m after { type filter hook forward priority 5; }",
            *(f"add rule inet m before {rule}" for rule in floor.before),
            *(f"add rule inet m after {rule}" for rule in floor.after),
        )

    def way(self) -> None:
        """Lead every packet to the chain in which copies are put."""
        self.no_floor()
        self.chain("", 0)
        self._scene.iptables(4, "-t", "mangle", "-A", "PREROUTING", "-j", "ALL")

    def no_floor(self) -> None:
        tables = ("inet m", "ip mangle")
        self._nft(*(f"{verb} table {one}" for one in tables for verb in ("add", "delete")))
        lines = ("*filter", ":DOCKER-USER - [0:0]", "-A DOCKER-USER -j RETURN", "COMMIT\n")
        self._scene.restore(4, "\n".join(lines))

    def _nft(self, *lines: str) -> None:
        self._scene.host.run(["nft", "-f", "-"], stdin="\n".join([*lines, ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args().rounds
    with host(None) as bench:
        profile = Profile(bench, rounds)
        print("the floor, for a request and its answer:")
        for floor in FLOORS:
            more, alone = profile.costs(partial(profile.floor, floor), profile.no_floor, 6)
            low, middle, high = quantiles(more, n=4)
            print(
                f"  {floor.name:46} {1000 * middle:6.0f} ns  ({1000 * low:.0f} to "
                f"{1000 * high:.0f})  {alone / (alone + middle):.3f}",
                flush=True,
            )
        profile.way()
        print("iptables, for a packet:")
        for name, rule in XTABLES.items():
            profile.one(name, partial(profile.chain, rule))
        print("nft, for a packet:")
        for name, rule in NFT.items():
            profile.one(name, partial(profile.rules, rule))
        print("a hook with an empty chain, for a packet:")
        for name, (family, hook) in HOOKS.items():
            profile.one(name, partial(profile.hooks, family, hook))


if __name__ == "__main__":
    main()
