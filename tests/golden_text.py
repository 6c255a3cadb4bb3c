"""Golden hosts: what the whole kernel text is for a policy, what runs, and a host.

A case is a folder of ``tests/golden``:

==================  ===============================================================================
config.toml         the policy; ``conf.d/*.toml`` and list files may stand beside it
inventory.json      what runs, as ``dockerfw inventory`` writes it
host.json           fields of `HostFacts` that are not the default, and ``when``: ``boot`` (before
                    Docker answers) or ``lockdown``; may be missing
names.json          the addresses of ``host:`` sources, by name; may be missing
lans.json           the networks of ``lan:`` sources, by interface; may be missing
ruleset.txt         what should stand in a kernel in which nobody else has written a rule
==================  ===============================================================================

``script/golden`` writes ``ruleset.txt`` anew, ``tests/unit/test_golden.py`` compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from dockerfw.kernel.ipset import render as ipset_render
from dockerfw.kernel.nft import render as nft_render
from dockerfw.model.host import Bridge, Cgroup, HostFacts, PortForward, Proxy
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family, Port
from dockerfw.model.policy import Policy
from dockerfw.operations.boot import without_addresses
from dockerfw.operations.policy_in_force import CLOSED
from dockerfw.plan.jumps import fixes
from dockerfw.plan.state import TablesState, wanted_set
from dockerfw.plan.steps import (
    AddElements,
    AppendJump,
    CreateChain,
    CreateSet,
    InsertJump,
    RuleWrite,
    SetWrite,
    WriteSets,
)
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.rule import TABLES, Table
from dockerfw.rules.ruleset import IPSet, Ruleset
from dockerfw.state import inventory_file
from tests.standing import chain_texts

GOLDEN = Path(__file__).parent / "golden"
RECORDED = "ruleset.txt"


def cases() -> list[Path]:
    """The folders of all golden hosts, by name."""
    return sorted(path for path in GOLDEN.iterdir() if path.is_dir())


def case_text(folder: Path) -> str:
    """The kernel text of one golden host."""
    return kernel_text(*case_ruleset(folder))


def case_ruleset(folder: Path) -> tuple[Ruleset, HostFacts]:
    """What should stand on one golden host, and what there is to know of that host."""
    policy = case_policy(folder)
    inventory = case_inventory(folder)
    given = _json(folder / "host.json")
    match given.pop("when", None):
        case "boot":
            inventory = without_addresses(inventory)
        case "lockdown":
            policy = CLOSED
    host = _facts(given)
    return compile_ruleset(policy, inventory, host), host


def kernel_text(ruleset: Ruleset, host: HostFacts) -> str:
    """Return all that stands in a kernel for this ruleset.

    The tables as ``iptables-save`` prints them, without counters and other people's chains; the
    sets as ``ipset save`` does, their entries sorted; the document for ``nft -f``.
    """
    lines: list[str] = []
    for family in host.families:
        jumps = fixes(TablesState(family), docker_user=host.docker_user)
        for table in TABLES:
            lines += [f"# IPv{family}", f"*{table}"]
            lines += _table(ruleset, family, table, jumps)
            lines += ["COMMIT", ""]
    writes = [write for ipset in ruleset.sets for write in _set(ipset)]
    lines += ipset_render.render(WriteSets("golden", tuple(writes)), now=None).splitlines()
    seal = nft_render.document(ruleset.seal) if host.nf_tables else "# no nf_tables, no seal\n"
    return "\n".join([*lines, "", seal])


def _set(ipset: IPSet) -> Iterator[SetWrite]:
    state = wanted_set(ipset)
    yield CreateSet(state.name, state.type, state.family, state.maxelem, state.count, state.timeout)
    yield AddElements(state.name, frozenset(ipset.elements))


def _table(
    ruleset: Ruleset, family: Family, table: Table, jumps: Iterable[RuleWrite]
) -> Iterator[str]:
    chains = [c for c in ruleset.chains if (c.family, c.table) == (family, table)]
    mine = [write for write in jumps if write.table == table]
    yield from (f":{w.name} - [0:0]" for w in mine if isinstance(w, CreateChain))
    yield from (f":{chain.name} - [0:0]" for chain in chains)
    yield from (
        f"-A {w.chain} -j {w.target}" for w in mine if isinstance(w, InsertJump | AppendJump)
    )
    for chain in chains:
        yield from (f"-A {chain.name} {rule}" for rule in chain_texts(chain))


def case_inventory(folder: Path) -> Inventory:
    """What runs on one golden host."""
    return inventory_file.load((folder / "inventory.json").read_text())


def case_policy(folder: Path) -> Policy:
    """The policy of one golden host."""
    files = [folder / "config.toml", *sorted((folder / "conf.d").glob("*.toml"))]
    documents = [Document(str(f.relative_to(folder)), f.read_bytes()) for f in files]

    def read_file(document: str, path: str) -> bytes:
        return ((folder / document).parent / path).read_bytes()

    names = _json(folder / "names.json")
    addresses = {name: tuple(map(ip_address, texts)) for name, texts in names.items()}
    lans = _json(folder / "lans.json")
    networks = {name: tuple(map(ip_network, texts)) for name, texts in lans.items()}
    return parse(documents, read_file).with_names(addresses, networks)


def _facts(given: dict[str, Any]) -> HostFacts:
    """``{"nf_tables": false, "bridges": {"br-lan": ["eth1"]}, "proxy": {"cgroup": {…}}}``."""
    bridges = given.pop("bridges", {})
    foreign = given.pop("foreign_bridges", [])
    proxy = given.pop("proxy", {})
    addresses = given.pop("addresses", [])
    forwards = given.pop("forwards", [])
    return HostFacts(
        bridges=tuple(Bridge(name, tuple(ports)) for name, ports in bridges.items()),
        foreign_bridges=frozenset(foreign),
        addresses=frozenset(map(ip_address, addresses)),
        proxy=Proxy(
            cgroup=Cgroup(**proxy["cgroup"]) if "cgroup" in proxy else None,
            dockerd_ports=frozenset(Port("tcp", n) for n in proxy.get("dockerd_ports", [])),
        ),
        forwards=tuple(map(_forward, forwards)),
        **given,
    )


def _forward(given: dict[str, Any]) -> PortForward:
    """``{"family": 4, "protocol": "tcp", "first": 80, "last": 80, "to": "172.18.0.2"}``.

    Without ``address`` to any of this host's, without a protocol every packet.
    """
    address = given.pop("address", None)
    values = {"protocol": None, "first": 0, "last": 0, **given, "to": ip_address(given["to"])}
    return PortForward(address=None if address is None else ip_address(address), **values)


def _json(path: Path) -> dict[str, Any]:
    """What the file holds, nothing where there is none."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
