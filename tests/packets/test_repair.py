"""What somebody else has broken of our state is put right, and said; what is his stays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, TypeAlias

import pytest

from dockerfw.model.net import FAMILIES
from tests.build import address_list, allow, policy
from tests.lab.place import Probe, disagreements
from tests.lab.sets import saved_sets
from tests.packets.scene import HOST, Scene, at

Flavour: TypeAlias = Literal["nft", "legacy"]

FRIEND = ("198.51.100.7", "2001:db8:10::7")
POLICY = policy(
    allow("198.51.100.0/24", "2001:db8:10::/48", to="web", ports=80),
    allow("iface:wg0", to="db", ports="1-65535"),
)
_FOREIGN = """\
*filter
-A FORWARD -i wg0 -o wg0 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A DOCKER-USER -p tcp -m tcp --dport 9 -j DROP
COMMIT
*mangle
-A PREROUTING -p tcp -m tcp --dport 9 -j TOS --set-tos 0x10/0xff
COMMIT
"""


@pytest.fixture(scope="module", params=["nft", "legacy"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Docker and a neighbour's rules in both families, and dockerfw in good order."""
    flavour: Flavour = request.param
    with Scene(flavour=flavour, nat6=True) as scene:
        for family in FAMILIES:
            scene.restore(family, _FOREIGN)
        scene.commit(POLICY)
        yield scene


# --- what stands ---------------------------------------------------------------------------------


def lines(scene: Scene) -> list[str]:
    """Every rule of both families, as ``-A CHAIN RULE`` behind its family."""
    return [
        f"{family} {line}"
        for family in FAMILIES
        for line in scene.saved(family).splitlines()
        if line.startswith("-A ")
    ]


def ours(scene: Scene) -> dict[str, list[str]]:
    """Our chains with their rules in order, our sets with their entries, the seal's rules."""
    rules = [line for line in lines(scene) if re.match(r"\d -A DOCKERFW", line)]
    entries = re.sub(r" packets \d+ bytes \d+", "", saved_sets(scene.host)).splitlines()
    seal = "".join(
        scene.host.run(
            ["nft", "--stateless", "list", "table", family, "dockerfw"], check=False
        ).stdout
        for family in ("inet", "bridge")
    )
    return {
        "rules": rules,
        # A set that had to be replaced may have another size.
        "sets": sorted(
            re.sub(r" (hashsize|maxelem|bucketsize|initval) \S+", "", e) for e in entries
        ),
        "seal": seal.splitlines(),
    }


def foreign(scene: Scene) -> list[str]:
    """All rules of others, each chain's in their order."""
    jump = re.compile(r"-j (DOCKERFW\S*|DOCKER-USER)$")
    return [
        line
        for line in lines(scene)
        if not re.match(r"\d -A DOCKERFW", line) and not jump.search(line)
    ]


def packets(scene: Scene) -> list[tuple[Probe, bool]]:
    outside = scene.outside
    table = []
    for n, family in enumerate(FAMILIES):
        stranger = ("203.0.113.9", "2001:db8:1::9")[n]
        for address, port in ((HOST[family], 8080), (at("web", family), 80)):
            table.append((Probe(outside, "tcp", address, port, FRIEND[n]), True))
            table.append((Probe(outside, "tcp", address, port, stranger), False))
        table.append((Probe(outside, "tcp", at("db", family), 5432, FRIEND[n]), False))
        tunnel = ("10.9.0.2", "fd00:9::2")[n]
        table.append((Probe(outside, "tcp", at("db", family), 5432, tunnel), True))
    return table


# --- damage --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Damage:
    """``said`` is what a note must hold; empty where no note is due.

    ``on_legacy`` those that the quick ring has there, too: sets and seal are the same on both.
    """

    title: str
    do: Callable[[Scene], None]
    said: str = ""
    on_legacy: bool = False


def _rules(*commands: str) -> Callable[[Scene], None]:
    """``iptables`` commands, each carried out in both families."""

    def do(scene: Scene) -> None:
        for family in FAMILIES:
            for command in commands:
                scene.iptables(family, *command.split())

    return do


def _sets(*commands: str) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        scene.host.run(["ipset", "restore"], stdin="\n".join(commands) + "\n")

    return do


def _seal(*commands: str) -> Callable[[Scene], None]:
    def do(scene: Scene) -> None:
        scene.host.run(["nft", "-f", "-"], stdin="\n".join(commands) + "\n")

    return do


def _wrong_type_while_used(scene: Scene) -> None:
    """Chains emptied by hand, a set made anew with another type, and used by a chain of ours."""
    for family in FAMILIES:
        for table in ("mangle", "filter"):
            chains = re.findall(
                r"^:(DOCKERFW\S*)",
                scene.host.run([f"ip{'6' * (family == 6)}tables-save", "-t", table]).stdout,
                re.MULTILINE,
            )
            for chain in chains:
                scene.iptables(family, "-t", table, "-F", chain)
    scene.host.run(["ipset", "destroy", "dockerfw-guarded4"])
    scene.host.run(["ipset", "create", "dockerfw-guarded4", "hash:ip"])
    match = ["-m", "set", "--match-set", "dockerfw-guarded4", "dst"]
    scene.iptables(4, "-A", "DOCKERFW", *match, "-j", "DROP")


DAMAGES = (
    Damage(
        "a rule inserted",
        _rules("-I DOCKERFW 1 -j RETURN"),
        "not ours stood in DOCKERFW",
        on_legacy=True,
    ),
    Damage(
        "a rule appended",
        _rules("-A DOCKERFW-INPUT -p tcp --dport 22 -j ACCEPT"),
        "not ours stood in DOCKERFW-INPUT",
    ),
    Damage("a rule deleted", _rules("-D DOCKERFW 1")),
    Damage("a chain flushed", _rules("-F DOCKERFW"), "DOCKERFW was empty", on_legacy=True),
    Damage(
        "the chain of marks flushed",
        _rules("-t mangle -F DOCKERFW-PRE"),
        "DOCKERFW-PRE was empty",
    ),
    Damage("a jump twice", _rules("-I DOCKER-USER 1 -j DOCKERFW"), "more than once"),
    Damage("a jump missing", _rules("-D DOCKER-USER -j DOCKERFW"), "does not jump to DOCKERFW"),
    Damage(
        "the jump of INPUT missing",
        _rules("-D INPUT -j DOCKERFW-INPUT"),
        "INPUT does not jump to DOCKERFW-INPUT",
    ),
    Damage(
        "the jump of mangle missing",
        _rules("-t mangle -D PREROUTING -j DOCKERFW-PRE"),
        "PREROUTING does not jump to DOCKERFW-PRE",
        on_legacy=True,
    ),
    Damage(
        "a rule below the jump of mangle",
        _rules("-t mangle -A PREROUTING -i wg0 -j MARK --set-xmark 0xffffffff"),
        "stand below the jump to DOCKERFW-PRE",
    ),
    Damage("all of DOCKER-USER flushed", _rules("-F DOCKER-USER"), "DOCKER-USER does not jump"),
    Damage("the jump to DOCKER-USER missing", _rules("-D FORWARD -j DOCKER-USER"), "FORWARD"),
    Damage(
        "ACCEPT above in DOCKER-USER",
        _rules("-I DOCKER-USER 1 -p tcp --dport 80 -j ACCEPT"),
        "--dport 80 -j ACCEPT",
    ),
    Damage(
        "RETURN above in DOCKER-USER",
        _rules("-I DOCKER-USER 1 -p tcp --dport 5432 -j RETURN"),
        "--dport 5432 -j RETURN",
    ),
    Damage(
        "ACCEPT above in FORWARD",
        _rules("-I FORWARD 1 -p tcp --dport 80 -j ACCEPT"),
        "--dport 80 -j ACCEPT",
        on_legacy=True,
    ),
    Damage(
        "ACCEPT above in INPUT, by a chain",
        _rules(
            "-N THEIRS", "-A THEIRS -p tcp --dport 8080 -j ACCEPT", "-I INPUT 1 -p tcp -j THEIRS"
        ),
        "-j THEIRS",
    ),
    Damage("everything flushed", _rules("-F", "-t mangle -F"), "does not jump", on_legacy=True),
    Damage("elements taken out", _sets("flush dockerfw-guarded4", "flush dockerfw-own6")),
    Damage("allowed elements taken out", _sets("flush dockerfw-allow4", "flush dockerfw-port6")),
    Damage(
        "elements put in",
        _sets("add dockerfw-port4 203.0.113.0/24,tcp:8080", "add dockerfw-inside4 0.0.0.0/1,eth0"),
    ),
    Damage("a strange set of our name", _sets("create dockerfw-strange hash:ip")),
    Damage(
        "a set of the wrong type, used",
        _wrong_type_while_used,
        "dockerfw-guarded4 was of type",
        on_legacy=True,
    ),
    Damage(
        "seal deleted",
        _seal("delete table inet dockerfw"),
        "the seal (nft table inet dockerfw) was",
    ),
    Damage(
        "seal's table of frames deleted",
        _seal("delete table bridge dockerfw"),
        "the seal (nft table bridge dockerfw) was",
    ),
    Damage("seal's table of frames flushed", _seal("flush table bridge dockerfw")),
    Damage("seal flushed", _seal("flush table inet dockerfw")),
    Damage("seal's input chain flushed", _seal("flush chain inet dockerfw input")),
    Damage("seal let everything pass", _seal("insert rule inet dockerfw forward counter accept")),
    Damage("seal asleep", _seal("add table inet dockerfw { flags dormant; }")),
    Damage("seal's ports taken out", _seal("flush set inet dockerfw port6")),
)


@pytest.mark.quick_where(holds=lambda scene, damage: scene == "nft" or damage.on_legacy)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.title)
def test_damage_is_put_right_and_said_and_the_rest_stays(scene: Scene, damage: Damage) -> None:
    good = ours(scene)
    damage.do(scene)
    theirs = foreign(scene)
    result = scene.commit(POLICY)
    assert result.steps, "no damage was seen"
    assert ours(scene) == good
    assert foreign(scene) == theirs
    assert disagreements(packets(scene)) == []
    assert scene.commit(POLICY).steps == 0
    if damage.said:
        assert [note for note in result.notes if damage.said in note], result.notes


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_list_takes_one_set_and_one_pair_of_rules(size: int) -> None:
    """For two containers and three ports: sizes add up, they do not multiply."""
    first = ip_address("100.64.0.0")
    addresses = [str(first + 2 * n) for n in range(size)]
    inside, outside_of_it = "100.64.8.2", "100.64.8.3"
    assert inside in addresses
    source = address_list("long.netset", *addresses)
    with Scene() as scene:
        scene.commit(policy())
        listed = policy(allow(source, to=("web", "db"), ports=(80, 443, 5432)))
        result = scene.commit(listed)
        scene.outside.add(f"{inside}/32", f"{outside_of_it}/32")
        entries = [len(ipset.elements) for ipset in result.last.ruleset.sets]
        assert sum(entries) < size + 200
        used = [line for line in lines(scene) if "--match-set dockerfw-list-" in line]
        assert len(used) == 2, "one for packets to host ports, one for those to containers"
        assert scene.commit(listed).steps == 0
        table = [
            (Probe(scene.outside, "tcp", address, port, start), start == inside)
            for address, port in ((HOST[4], 8080), (at("web", 4), 443), (at("db", 4), 5432))
            for start in (inside, outside_of_it)
        ]
        assert disagreements(table) == []
        scene.commit(policy())
        assert disagreements([(probe, False) for probe, _ in table]) == []
        assert "dockerfw-list-" not in scene.host.run(["ipset", "list", "-n"]).stdout


def test_a_set_that_is_too_small_by_now_is_replaced_by_a_larger_one() -> None:
    """It was made when little was allowed; its entries count on, its rule stays."""
    with Scene() as scene:
        scene.host.run(
            ["ipset", "restore"],
            stdin="create dockerfw-allow4 hash:ip,port,net family inet maxelem 2 counters\n"
            "add dockerfw-allow4 172.18.0.2,tcp:80,198.51.100.0/24\n",
        )
        addresses = [f"192.0.2.{2 * n + 1}" for n in range(60)]
        allowed = policy(allow("198.51.100.0/24", *addresses, to="web", ports=80))
        scene.commit(allowed)
        assert scene.commit(allowed).steps == 0
        table = [
            (Probe(scene.outside, "tcp", at("web", 4), 80, start), open_)
            for start, open_ in (
                ("198.51.100.7", True),
                ("192.0.2.7", True),
                ("203.0.113.9", False),
            )
        ]
        assert disagreements(table) == []
        names = scene.host.run(["ipset", "list", "-n"]).stdout.split()
        assert "dockerfw-swap" not in names


def test_a_set_of_the_wrong_type_that_nobody_uses_yet_is_made_anew() -> None:
    with Scene() as scene:
        scene.host.run(["ipset", "create", "dockerfw-guarded4", "hash:ip"])
        result = scene.commit(POLICY)
        assert any("dockerfw-guarded4" in note for note in result.notes)
        assert disagreements(packets(scene)) == []
        assert scene.commit(POLICY).steps == 0


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize(
    "form", ["hash:ip,port,net family inet maxelem 1 timeout 5", "hash:net,port family inet"]
)
def test_a_record_of_another_form_is_made_anew(scene: Scene, form: str, used: bool) -> None:
    """``used``: the rules refer to it already, so that it cannot be destroyed."""
    name = "dockerfw-denied4"
    before = ours(scene)
    scene.iptables(4, "-F", "DOCKERFW-DENY")
    scene.host.run(["ipset", "destroy", name])
    scene.host.run(["ipset", "create", name, *form.split()])
    if used:
        scene.iptables(4, "-A", "DOCKERFW-DENY", "-j", "SET", "--add-set", name, "dst,dst,src")
    result = scene.commit(POLICY)
    assert f"set {name} was not of our making: made anew" in result.notes
    assert ours(scene) == before
    assert disagreements(packets(scene)) == []
    assert scene.commit(POLICY).steps == 0
    header = scene.host.run(["ipset", "list", "-t", name]).stdout
    assert "maxelem 4096 timeout 86400 counters" in header


@pytest.mark.parametrize("left", ["hash:ip", "hash:ip,port,net family inet maxelem 2 counters"])
def test_what_an_apply_left_that_was_killed_while_it_enlarged_a_set_is_taken_away(
    left: str,
) -> None:
    with Scene() as scene:
        scene.host.run(
            ["ipset", "restore"],
            stdin="create dockerfw-allow4 hash:ip,port,net family inet maxelem 2 counters\n"
            f"create dockerfw-swap {left}\n",
        )
        addresses = [f"192.0.2.{2 * n}" for n in range(60)]
        scene.commit(policy(allow(*addresses, to="web", ports=80)))
        assert "dockerfw-swap" not in scene.host.run(["ipset", "list", "-n"]).stdout.split()


# --- what nobody has told of ---------------------------------------------------------------------


def _late_network(scene: Scene) -> list[tuple[Probe, bool]]:
    """A network that Docker makes after the inventory was read; nobody outside may reach it."""
    bridge = "br-0123456789ab"
    scene.host.bridge(bridge, "172.21.0.1/16", "fd00:21::1/64")
    own = ("172.21.0.2", "fd00:21::2")
    late = scene.host.container("late", {bridge: (f"{own[0]}/16", f"{own[1]}/64")})
    late.listen("80/tcp")
    assert disagreements([(Probe(scene.host, "tcp", address, 80), True) for address in own]) == []
    return [(Probe(scene.outside, "tcp", address, 80), False) for address in own]


def test_a_network_that_is_made_while_an_apply_is_at_work_stays_closed() -> None:
    """The apply sees the bridge, and no network of it: that does not make it somebody else's."""
    with Scene() as scene:
        scene.commit(policy())
        closed = _late_network(scene)
        assert disagreements(closed) == []
        scene.commit(policy(allow("any", to="web", ports=80)))
        assert disagreements(closed) == []


def test_a_guest_on_a_bridge_that_is_not_dockers_is_outside_whatever_befalls_the_chains() -> None:
    with Scene() as scene:
        closed = [probe.address for probe, _ in _late_network(scene)]
        scene.host.bridge("virbr0", "192.168.122.1/24", "fd00:122::1/64")
        addresses = ("192.168.122.5/24", "fd00:122::5/64")
        guest = scene.host.container("guest", {"virbr0": addresses}, by_docker=False)
        closed += [at("web", 4), at("web", 6)]
        table = [(Probe(guest, "tcp", address, 80), True) for address in closed]
        assert disagreements(table) == []
        scene.commit(policy())
        table = [(probe, False) for probe, _ in table]
        assert disagreements(table) == []
        for family in FAMILIES:
            scene.iptables(family, "-F", "FORWARD")
        assert disagreements(table) == []
