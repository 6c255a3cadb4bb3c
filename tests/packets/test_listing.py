"""What we write to nft can be listed as text and as JSON, and loaded back, by each nft."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerfw.kernel.nft.driver import bindings_stand, write_bindings
from dockerfw.kernel.nft.render import document
from dockerfw.kernel.runner import Completed, SystemRunner
from dockerfw.rules.bindings import Bindings
from dockerfw.rules.ruleset import Frames, Seal
from tests.golden_text import case_ruleset, cases
from tests.lab import process
from tests.lab.host import Host
from tests.lab.process import Namespaces
from tests.lab.roots import enter

MANY = frozenset({"br-data", "lxdbr0", "virbr0", "br-lan.5", "a@b+c", "br-0123456789ab"})
SEALS = [
    Seal(
        0x20000000,
        observe,
        inside,
        bridges=bridges,
        foreign_bridges=bridges,
        mixed_bridges=bridges,
        labels=labels,
        frames=Frames(frozenset({"veth0a1b2c3d", "vethA.b+c"}) if bridges else frozenset()),
    )
    for observe, inside, labels in (
        (False, True, True),
        (True, True, True),
        (False, False, True),
        (False, True, False),
    )
    for bridges in (frozenset[str](), MANY)
]


@pytest.fixture(params=["1.0.6", "trixie", "forky"])
def inside(request: pytest.FixtureRequest) -> Iterator[Namespaces]:
    """A host with this nft: the machine's own, or that of a newer Debian."""
    with Host() as host:
        if request.param == "1.0.6":
            yield host.namespaces
        else:
            keeper, namespaces = enter(host, request.param)
            yield namespaces
            process.end(keeper)


def golden_seals() -> Iterator[Seal]:
    for case in cases():
        ruleset, facts = case_ruleset(case)
        if facts.nf_tables:
            # Its cgroup is on no machine of ours: nft prints such a rule only where it finds it.
            yield replace(ruleset.seal, proxies=None)


BOUND = Bindings(
    observe=False,
    ports=frozenset({"veth0a1b2c3", "tap0"}),
    stations=frozenset({("veth0a1b2c3", "02:42:ac:11:00:02")}),
    holders=frozenset(
        ("veth0a1b2c3", "02:42:ac:11:00:02", ip_address(address))
        for address in ("172.17.0.2", "fd00:17::2", "::1:2")
    ),
)


def test_a_seal_is_listed_as_text_and_json_and_loads_back(inside: Namespaces) -> None:
    def nft(*arguments: str, stdin: str | None = None) -> str:
        return process.run(inside.enter(["nft", *arguments]), stdin=stdin).stdout

    for seal in {*SEALS, *golden_seals()}:
        nft("-f", "-", stdin=document(seal))
        listing = nft("--stateless", "list", "ruleset")
        assert "table inet dockerfw" in listing
        assert "table bridge dockerfw" in listing
        assert listing.isascii(), seal
        assert json.loads(nft("-j", "list", "ruleset"))["nftables"]
        nft("-f", "-", stdin=f"flush ruleset\n{listing}")
        assert nft("--stateless", "list", "ruleset") == listing


def test_bindings_are_read_by_each_nft_as_they_were_written(inside: Namespaces) -> None:
    class Inside(SystemRunner):
        def run(
            self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60
        ) -> Completed:
            return super().run(inside.enter(argv), stdin, timeout)

    runner = Inside()
    for wanted in (Bindings(observe=True), BOUND, None):
        write_bindings(runner, wanted)
        assert bindings_stand(runner, wanted)
        listing = runner.run(["nft", "--stateless", "list", "ruleset"]).stdout
        assert listing.isascii()
        assert json.loads(runner.run(["nft", "-j", "list", "ruleset"]).stdout)["nftables"]
        assert runner.run(["nft", "-f", "-"], f"flush ruleset\n{listing}").status == 0
        assert bindings_stand(runner, wanted)
    assert not bindings_stand(runner, BOUND)
