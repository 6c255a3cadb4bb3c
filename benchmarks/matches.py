"""What each hook and each match costs a packet: many copies of one, in turns with none.

Prints figures and asserts nothing. Run as root from the root of the repository::

    python -m benchmarks.matches [--rounds N]

One throwaway host with Docker's rules alone carries requests and answers by a published port, as in
`benchmarks.packets`. What is measured stands in the way of both packets, is left by both, and does
nothing: the difference in processor time, by packets and copies, is what one costs. Printed are
nanoseconds and, in brackets, the middle half of the rounds; then the sums for what the packets of a
load meet of our rules (`WALKS`), as nanoseconds and as a share of a request and its answer. What
stands side by side in copies is in the caches: a packet that meets each once pays more.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median, quantiles

from benchmarks.packets import LOADS, Bench, host

SLICE = 0.05
COPIES = 60
PACKETS = 2
LOAD = next(load for load in LOADS if load.name == "request and answer, published port")

SETS = """\
create m-ip hash:ip
create m-net hash:net
create m-net-port hash:net,port
create m-ip-port-net hash:ip,port,net
create m-net-iface hash:net,iface
add m-ip 11.0.0.1
add m-net 11.0.0.0/24
add m-net-port 11.0.0.0/24,tcp:80
add m-ip-port-net 203.0.113.9,tcp:80,11.0.0.0/24
add m-net-iface 172.18.0.0/16,br-a
add m-net-iface 172.19.0.0/16,br-b
"""

XTABLES: Mapping[str, str] = {
    "counter": "",
    "met": "-m comment --comment x",
    "mark": "-m mark --mark 0x10000000/0x10000000",
    "-d": "-d 127.0.0.0/8",
    "-i": "-i lo",
    "tcp flags": "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "conntrack": "-m conntrack --ctstate UNTRACKED",
    "connlabel": "-m connlabel --label 114",
    "addrtype": "-m addrtype --dst-type BROADCAST",
    "rpfilter": "-m rpfilter --invert",
    "ip": "-m set --match-set m-ip src",
    "net": "-m set --match-set m-net src",
    "net,port": "-m set --match-set m-net-port src,dst",
    "ip,port,net": "-m set --match-set m-ip-port-net dst,dst,src",
    "net,iface": "-m set --match-set m-net-iface src,src",
    "MARK": "-j MARK --set-xmark 0x0/0x30000000",
    "jump": "-j EMPTY",
}
"""Rules of iptables, none of which ends a packet's way: a match that fails, or the kinds of sets.
``met``: what each rule that matches costs besides, its comment and counter."""

_NEVER = "meta mark 77"
NFT: Mapping[str, str] = {
    "nft mark": "meta mark & 0x30000000 == 0x30000000 counter",
    "iifname, one": 'iifname "lo" counter',
    "iifname, a set": f"iifname @names {_NEVER}",
    "iifkind": f'meta iifkind "bridge" {_NEVER}',
    "ct state": f"ct state new,related {_NEVER}",
    "ct state, a set": f"ct state {{ new, related }} {_NEVER}",
    "ct direction": f"ct direction reply {_NEVER}",
    "ct label": f"ct label 114 {_NEVER}",
    "fib, the way back": f"fib saddr . iif oif missing {_NEVER}",
    "a set of addresses and ports": f"ip daddr . meta l4proto . th dport @ports {_NEVER}",
}
"""Rules of nft, of the kinds that the seal has."""

# Our rules as ``rules/chains.py`` and ``kernel/nft`` have them, under a policy of one rule.
_HOOKED = ["hook", "hook", "hook", "jump", "jump", "mark", "nft mark", "ct state", "iifkind"]
_ANSWER = ["tcp flags", "conntrack", "connlabel", "met"]
WALKS: Mapping[str, list[str]] = {
    "a request": [
        *_HOOKED,
        *("-d", "addrtype", "-d", "net,iface"),
        *("mark", "net,port", "met", "MARK", "mark", "mark", "mark", "mark", "rpfilter"),
        *("mark", "conntrack", "met", "met", "MARK"),
        *("nft mark", "iifkind"),
    ],
    "its answer": [*_HOOKED, "-d", "addrtype", "met", *_ANSWER, "mark", *_ANSWER],
    "a guest's request": [
        *_HOOKED,
        *("-d", "addrtype", "met", "tcp flags", "conntrack", "-d", "-d", "net", "net"),
        *("mark", "tcp flags", "conntrack", "-d", "-d", "net", "addrtype", "net,iface"),
        *("conntrack", "net,iface", "met"),
        *("nft mark", "iifname, a set"),
    ],
    "the floor: a request": [
        *("hook", "hook", "hook", "jump", "jump"),
        *("net,port", "MARK", "rpfilter"),
        *("nft mark", "mark", "conntrack", "MARK", "nft mark"),
    ],
    "the floor: its answer": [
        *("hook", "hook", "hook", "jump", "jump"),
        *("nft mark", "mark", "nft mark", "iifkind"),
    ],
}
"""By kinds. The floor: hooks, one set of sources, the way back, the seal's mark, and no more."""


class Profile:
    """One host, and what stands in the way of its packets."""

    def __init__(self, bench: Bench, rounds: int) -> None:
        self._bench = bench
        self._scene = bench.scene
        self._rounds = rounds
        self.alone: list[float] = []
        self._scene.host.run(["ipset", "restore"], stdin=SETS)

    def one(self, put: Callable[[int], None]) -> tuple[float, float, float]:
        """Return quartiles, in nanoseconds; ``put`` puts so many copies of it in the way."""
        more = []
        for _ in range(self._rounds):
            put(0)
            before = self._bench.cost(LOAD, SLICE)
            put(COPIES)
            between = self._bench.cost(LOAD, SLICE)
            put(0)
            alone = (before + self._bench.cost(LOAD, SLICE)) / 2
            more.append(1000 * (between - alone) / PACKETS / COPIES)
            self.alone.append(alone)
        low, middle, high = quantiles(more, n=4)
        return low, middle, high

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

    def hooks(self, copies: int) -> None:
        self._nft(
            "add table inet m",
            "delete table inet m",
            "add table inet m",
            *(
                f"add chain inet m c{n} {{ type filter hook prerouting priority {n - 140}; }}"
                for n in range(copies)
            ),
        )

    def way(self) -> None:
        """Lead every packet to the chain in which copies are put."""
        self.chain("", 0)
        self._scene.iptables(4, "-t", "mangle", "-A", "PREROUTING", "-j", "ALL")

    def _nft(self, *lines: str) -> None:
        self._scene.host.run(["nft", "-f", "-"], stdin="\n".join([*lines, ""]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args().rounds
    with host(None) as bench:
        profile = Profile(bench, rounds)
        profile.way()
        kinds: dict[str, Callable[[int], None]] = {"hook": profile.hooks}
        kinds |= {name: partial(profile.chain, rule) for name, rule in XTABLES.items()}
        kinds |= {name: partial(profile.rules, rule) for name, rule in NFT.items()}
        costs: dict[str, float] = {}
        for name, put in kinds.items():
            low, costs[name], high = profile.one(put)
            print(f"{name:30} {costs[name]:6.0f} ns  ({low:.0f} to {high:.0f})", flush=True)
    alone = 1000 * median(profile.alone)
    print(f"a request and its answer, with Docker's rules alone: {alone:.0f} ns; of that")
    for name, met in WALKS.items():
        total = sum(costs[kind] for kind in met)
        print(f"{name:30} {total:6.0f} ns  {total / alone:.3f}")


if __name__ == "__main__":
    main()
