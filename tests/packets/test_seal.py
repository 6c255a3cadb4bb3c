"""The kernel edge on a real kernel: what is written is what is read, and nothing else moves."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence, Set as AbstractSet
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel import facts
from dockerfw.kernel.ipset import driver as ipset
from dockerfw.kernel.iptables import driver as iptables
from dockerfw.kernel.nft import driver as seal
from dockerfw.kernel.render import rule_text
from dockerfw.kernel.runner import Completed, SystemRunner, not_installed
from dockerfw.model.host import Bridge, Flavour
from dockerfw.model.net import FAMILIES, Family, Port
from dockerfw.plan import jumps
from dockerfw.plan.planner import SealUpdate
from dockerfw.rules.ruleset import (
    AddressType,
    ConnState,
    Count,
    Destination,
    DestPorts,
    Drop,
    Goto,
    IcmpTypes,
    InInterface,
    InSet,
    Marked,
    Match,
    Reject,
    Reply,
    Return,
    Rule,
    Seal,
    SetMark,
    Table,
    Target,
)
from tests.lab.host import Host
from tests.lab.place import Place

OK_BIT = 0x20000000
FLAVOURS: tuple[Flavour, Flavour] = ("nft", "legacy")
both = pytest.mark.parametrize(
    ("flavour", "family"), [(flavour, family) for flavour in FLAVOURS for family in FAMILIES]
)


class HostRunner:
    """Runs what dockerfw runs inside a throwaway host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        done = SystemRunner().run(self._host.namespaces.enter(argv), stdin, timeout)
        if done.status == 127 and "failed to execute" in done.stderr:
            raise not_installed(argv[0])
        return done

    def read_file(self, path: str) -> str | None:
        done = self.run(["cat", path])
        return done.stdout if done.status == 0 else None


@pytest.fixture
def runner(host: Host) -> HostRunner:
    return HostRunner(host)


def inet(family: Family) -> str:
    return "inet" if family == 4 else "inet6"


def program(flavour: Flavour, family: Family) -> str:
    return f"{'iptables' if family == 4 else 'ip6tables'}-{flavour}"


# --- iptables ------------------------------------------------------------------------------------


def test_reading_an_empty_host_creates_no_table(host: Host, runner: HostRunner) -> None:
    for flavour in FLAVOURS:
        for family in FAMILIES:
            assert iptables.read(runner, flavour, family).tables == {}
            assert iptables.counters(runner, flavour, family) == {}
    assert facts.read(runner).flavour == "nft"
    assert host.run(["nft", "list", "ruleset"]).stdout == ""
    assert runner.read_file("/proc/thread-self/net/ip_tables_names") == ""
    assert runner.read_file("/proc/thread-self/net/ip6_tables_names") == ""


def install(runner: HostRunner, flavour: Flavour, family: Family) -> None:
    """Our chains, empty, and every jump into them."""
    chains: dict[Table, tuple[str, ...]] = {
        "mangle": ("DOCKERFW-PRE",),
        "filter": ("DOCKERFW", "DOCKERFW-INPUT"),
    }
    state = iptables.read(runner, flavour, family)
    lines = jumps.fix_lines(state, docker_user=True)
    text = ""
    for table, names in chains.items():
        declared = [f":{name} - [0:0]" for name in names]
        text += "\n".join([f"*{table}", *declared, *lines.get(table, []), "COMMIT\n"])
    iptables.commit(runner, flavour, family, text)


@both
def test_jumps_are_put_over_foreign_accepts_and_foreign_rules_stay(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    tool = program(flavour, family)
    install(runner, flavour, family)
    assert jumps.check(iptables.read(runner, flavour, family), docker_user=True) == ()
    for words in (
        "-I FORWARD -i wg0 -j ACCEPT",
        "-I INPUT -p tcp -m comment --comment a\"b'c -j ACCEPT",
        "-A FORWARD -o br0 -j DROP",
        "-t mangle -A PREROUTING -j MARK --set-mark 7",
    ):
        host.run([tool, *words.split(" ")])
    state = iptables.read(runner, flavour, family)
    assert {(f.chain, f.reason) for f in jumps.check(state, docker_user=True)} == {
        ("FORWARD", "bypassed"),
        ("INPUT", "bypassed"),
        ("PREROUTING", "not last"),
    }
    assert [w.chain for w in jumps.mark_writers(state, OK_BIT)] == ["PREROUTING"]
    install(runner, flavour, family)
    after = iptables.read(runner, flavour, family)
    assert jumps.check(after, docker_user=True) == ()
    assert after.tables["filter"]["FORWARD"].rules == (
        "-j DOCKER-USER",
        "-i wg0 -j ACCEPT",
        "-o br0 -j DROP",
    )
    assert len(after.tables["filter"]["INPUT"].rules) == 2


@both
def test_a_bad_line_changes_nothing_and_is_named(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    install(runner, flavour, family)
    before = iptables.read(runner, flavour, family)
    text = "*filter\n:DOCKERFW - [0:0]\n-A DOCKERFW -j RETURN\n-A DOCKERFW -m bogus\nCOMMIT\n"
    with pytest.raises(Failed, match="bogus") as failed:
        iptables.commit(runner, flavour, family, text)
    assert "  > 4: -A DOCKERFW -m bogus" in str(failed.value)
    assert iptables.read(runner, flavour, family) == before
    assert host.run([program(flavour, family), "-S", "DOCKERFW"]).stdout == "-N DOCKERFW\n"


@both
def test_counters_are_those_of_the_rules_in_order(
    host: Host, runner: HostRunner, flavour: Flavour, family: Family
) -> None:
    loopback = "127.0.0.1" if family == 4 else "::1"
    iptables.commit(
        runner,
        flavour,
        family,
        "*filter\n:DOCKERFW-INPUT - [0:0]\n-A DOCKERFW-INPUT -i eth7\n-A DOCKERFW-INPUT -i lo\n"
        "-I INPUT 1 -j DOCKERFW-INPUT\nCOMMIT\n",
    )
    assert host.ping(loopback).reached
    (unmet, met) = iptables.counters(runner, flavour, family)["filter", "DOCKERFW-INPUT"]
    assert unmet == (0, 0)
    assert met[0] > 0


def test_rules_that_only_nft_can_show_are_refused(host: Host, runner: HostRunner) -> None:
    native = "table ip filter {\n chain theirs {\n  fib saddr . iif oif exists accept\n }\n}\n"
    host.run(["nft", "-f", "-"], stdin=native)
    with pytest.raises(Failed, match="nft list table ip filter"):
        iptables.read(runner, "nft", 4)
    assert iptables.read(runner, "nft", 6).tables == {}


# --- python-iptables -----------------------------------------------------------------------------

RULES: list[tuple[tuple[Match, ...], Target]] = [
    ((Reply(),), Goto("DOCKERFW-OK")),
    ((IcmpTypes(), ConnState("RELATED")), Goto("DOCKERFW-OK")),
    ((IcmpTypes(135),), Goto("DOCKERFW-OK")),
    (
        (InSet("dockerfw-a", ("src", "dst")), AddressType("dst", "UNICAST", negated=True)),
        SetMark(OK_BIT, OK_BIT),
    ),
    ((InSet("dockerfw-b", ("dst", "dst", "src"), negated=True),), Count()),
    ((Marked(OK_BIT, OK_BIT), ConnState("DNAT")), Return()),
    ((ConnState("DNAT", negated=True), InInterface("eth*")), Return()),
    ((InInterface("eth0", negated=True), DestPorts("tcp", 80, 80)), Drop()),
    ((DestPorts("udp", 8000, 8100),), Drop()),
    ((DestPorts("sctp", 9, 9),), Drop()),
    ((DestPorts("tcp", 0, 65535),), Reject(tcp_reset=True)),
    ((), Reject()),
]


def every_kind_of_rule(family: Family) -> str:
    """All that dockerfw writes, as iptables-restore takes it."""
    net = ip_network("127.0.0.0/8") if family == 4 else ip_network("ff00::/8")
    rules = [*RULES, ((Destination(net, negated=True),), Drop())]
    lines = [f"-A DOCKERFW {rule_text(Rule(m, t, 'a rule'), family)}" for m, t in rules]
    names = ("DOCKER-USER", "DOCKERFW", "DOCKERFW-OK")
    chains = [f":{name} - [0:0]" for name in names]
    jump_lines = ["-I FORWARD 1 -j DOCKER-USER", "-A DOCKER-USER -j DOCKERFW"]
    moved = ["-D FORWARD -j DOCKER-USER", "-I FORWARD 1 -j DOCKER-USER"]
    return "\n".join(["*filter", *chains, *lines, *jump_lines, *moved, "COMMIT\n"])


@pytest.mark.skipif(
    importlib.util.find_spec("iptc") is None, reason="needs the python-iptables package"
)
@pytest.mark.parametrize("family", FAMILIES)
def test_python_iptables_writes_the_same_rules(
    host: Host, runner: HostRunner, family: Family
) -> None:
    ipset.commit(
        runner,
        f"create dockerfw-a hash:net,port family {inet(family)} counters\n"
        f"create dockerfw-b hash:ip,port,net family {inet(family)} counters\n",
    )
    text = every_kind_of_rule(family)
    iptables.commit(runner, "legacy", family, text)
    wanted = iptables.read(runner, "legacy", family)
    host.run([program("legacy", family), "-F"])
    host.run([program("legacy", family), "-X"])
    iptables.commit_by_python_iptables(runner, "legacy", family, text)
    assert iptables.read(runner, "legacy", family) == wanted
    names = "ip_tables_names" if family == 4 else "ip6_tables_names"
    assert runner.read_file(f"/proc/thread-self/net/{names}") == "filter\n"
    bad = text.replace("COMMIT", "-A DOCKERFW -m bogus\nCOMMIT")
    with pytest.raises(Failed, match=r"python-iptables failed.*bogus"):
        iptables.commit_by_python_iptables(runner, "legacy", family, bad)
    assert iptables.read(runner, "legacy", family) == wanted


# --- ipset ---------------------------------------------------------------------------------------

# (type, family, entries as dockerfw writes them)
SETS: list[tuple[str, Family, frozenset[str]]] = [
    ("hash:ip", 4, frozenset({"192.0.2.1"})),
    ("hash:ip", 6, frozenset({"2001:db8::1", "::ffff:1.2.3.4", "64:ff9b::102:304"})),
    ("hash:net", 4, frozenset({"0.0.0.0/1", "128.0.0.0/1", "192.0.2.1"})),
    ("hash:net", 6, frozenset({"::/1", "8000::/1", "2001:db8::/32"})),
    (
        "hash:net,port",
        4,
        frozenset({"10.0.0.0/8,tcp:80", "10.0.0.0/8,icmp:echo-request", "10.0.0.1,udp:53"}),
    ),
    (
        "hash:net,port",
        6,
        frozenset({"2001:db8::/64,ipv6-icmp:echo-request", "::1,sctp:9", "::1,47:0"}),
    ),
    (
        "hash:ip,port,net",
        4,
        frozenset({"10.0.0.1,tcp:80,0.0.0.0/1", "10.0.0.1,icmp:echo-request,10.0.0.2"}),
    ),
    ("hash:ip,port,net", 6, frozenset({"2001:db8::1,udp:53,2001:db8::/32"})),
    ("hash:net,iface", 4, frozenset({"172.18.0.0/16,br-0a1b2c3d4e5f", "172.17.0.0/16,docker0"})),
    ("hash:net,iface", 6, frozenset({"fd00::/64,br-0a1b2c3d4e5f"})),
]


def created(kind: str, family: Family, entries: AbstractSet[str], name: str = "dockerfw-x") -> str:
    lines = [f"create {name} {kind} family {inet(family)} maxelem 70000 counters"]
    return "\n".join([*lines, *(f"add {name} {entry}" for entry in sorted(entries)), ""])


@pytest.mark.parametrize("names_protocols", [True, False])
def test_every_kind_of_entry_reads_as_it_was_written(
    host: Host,
    runner: HostRunner,
    monkeypatch: pytest.MonkeyPatch,
    names_protocols: bool,
) -> None:
    if not names_protocols:
        host.write("/etc/protocols", "")
        monkeypatch.setattr(ipset, "_host_names_protocols", lambda: False)
    text = "".join(
        created(kind, family, entries, f"dockerfw-{n}")
        for n, (kind, family, entries) in enumerate(SETS)
    )
    ipset.commit(runner, text)
    sets = ipset.read(runner)
    assert [
        (s.type, s.family, s.entries) for s in (sets[f"dockerfw-{n}"] for n in range(len(SETS)))
    ] == SETS
    assert {(s.maxelem, s.counters, s.timeout) for s in sets.values()} == {(70000, True, False)}
    # Once more is no error, and what goes out goes.
    gone = [f"del dockerfw-{n} {e}" for n, (_, _, entries) in enumerate(SETS) for e in entries]
    ipset.commit(runner, text + "\n".join([*gone, ""]))
    assert all(not state.entries for state in ipset.read(runner).values())


def test_an_entry_added_again_keeps_its_counters(runner: HostRunner) -> None:
    ipset.commit(runner, created("hash:net", 4, set()))
    ipset.commit(runner, "add dockerfw-x 10.0.0.1 packets 5 bytes 7\n")
    ipset.commit(runner, created("hash:net", 4, {"10.0.0.1"}))
    assert ipset.counters(runner, ["dockerfw-x"]) == {"dockerfw-x": {"10.0.0.1": (5, 7)}}


def test_what_is_not_there_can_be_taken_out(runner: HostRunner) -> None:
    ipset.commit(runner, created("hash:net", 4, set()))
    ipset.commit(runner, "del dockerfw-x 10.0.0.1\ndestroy dockerfw-y\n")
    assert set(ipset.read(runner)) == {"dockerfw-x"}


@pytest.mark.parametrize("wanted", [frozenset({"10.0.0.0/8"}), frozenset[str]()])
def test_an_entry_that_a_hand_turned_off_is_healed(
    host: Host, runner: HostRunner, wanted: frozenset[str]
) -> None:
    ipset.commit(runner, created("hash:net", 4, wanted))
    host.run(["ipset", "-exist", "add", "dockerfw-x", "10.0.0.0/8", "nomatch"])
    live = ipset.read(runner)["dockerfw-x"].entries
    assert live is not None
    assert live != wanted
    more = [f"add dockerfw-x {entry}\n" for entry in wanted - live]
    less = [f"del dockerfw-x {entry}\n" for entry in live - wanted]
    ipset.commit(runner, "".join([*more, *less]))
    assert ipset.read(runner)["dockerfw-x"].entries == wanted


def test_large_sets_are_read_whole_or_by_their_header(host: Host, runner: HostRunner) -> None:
    many = frozenset(f"10.{n >> 8}.{n & 255}.0/24" for n in range(20000))
    ipset.commit(runner, created("hash:net", 4, many))
    host.run(["ipset", "create", "foreign", "hash:net"])
    assert ipset.read(runner)["dockerfw-x"].entries == many
    header = ipset.read(runner, headers_only=lambda _name, _count: True)
    assert set(header) == {"dockerfw-x"}
    assert (header["dockerfw-x"].entries, header["dockerfw-x"].count) == (None, 20000)


def test_a_full_set_and_an_unknown_type_are_told(runner: HostRunner) -> None:
    ipset.commit(runner, "create dockerfw-x hash:ip maxelem 1\nadd dockerfw-x 10.0.0.1\n")
    with pytest.raises(Failed, match="an ipset is full"):
        ipset.commit(runner, "add dockerfw-x 10.0.0.2\n")
    with pytest.raises(Failed, match="typename 'hash:nonsense' is unknown"):
        ipset.commit(runner, "create dockerfw-z hash:nonsense\n")


# --- the seal ------------------------------------------------------------------------------------

SEAL = Seal(
    bit=OK_BIT,
    observe=False,
    inside=True,
    foreign_bridges=frozenset({"virbr0", "br-lan"}),
    mixed_bridges=frozenset({"br-mixed"}),
    guarded=frozenset(
        {
            (None, 4, Port("tcp", 8080)),
            (None, 6, Port("tcp", 8080)),
            (ip_address("203.0.113.1"), 4, Port("udp", 53)),
            (ip_address("2001:db8:1::1"), 6, Port("sctp", 9)),
            (ip_address("::ffff:1.2.3.4"), 6, Port("tcp", 9)),
        }
    ),
)
ONE_OF_EACH = [
    SEAL,
    replace(SEAL, observe=True),
    replace(SEAL, inside=False),
    replace(SEAL, bit=0x8),
    Seal(bit=OK_BIT, observe=False, inside=True),
]


def install_seal(runner: HostRunner, wanted: Seal) -> None:
    found = seal.updates(seal.read(runner), wanted)
    assert found.rest is not None
    for document in (found.release, found.rest):
        if document is not None:
            seal.commit(runner, document)


def test_a_seal_reads_as_it_was_written_and_a_second_look_writes_nothing(
    host: Host, runner: HostRunner
) -> None:
    assert seal.read(runner) is None
    for wanted in ONE_OF_EACH:
        install_seal(runner, wanted)
        assert seal.read(runner) == seal.wanted(wanted)
        assert seal.updates(seal.read(runner), wanted) == SealUpdate()
    for _ in range(2):
        seal.commit(runner, seal.REMOVE)
        assert seal.read(runner) is None
    assert host.run(["nft", "list", "ruleset"]).stdout == ""


def last_rule(host: Host, chain: str) -> str:
    """The kernel's number for it."""
    listing = host.run(["nft", "-a", "list", "chain", "inet", "dockerfw", chain]).stdout
    rules = [line for line in listing.splitlines() if " comment " in line]
    return rules[-1].rpartition("# handle ")[2]


# LAST is the number of the last rule of the chain that is named before it.
HAND_EDITS = {
    "the table flushed": "flush table inet dockerfw",
    "the table deleted": "delete table inet dockerfw",
    "the table asleep": "add table inet dockerfw { flags dormant; }",
    "a chain flushed": "flush chain inet dockerfw forward",
    "a chain added": "add chain inet dockerfw more",
    "the last rule deleted": "delete rule inet dockerfw forward handle LAST",
    "a rule replaced": "replace rule inet dockerfw input handle LAST counter accept",
    "a rule put on top": "insert rule inet dockerfw input counter accept",
    "a rule put on top with a comment": 'insert rule inet dockerfw forward accept comment "mine"',
    "an element deleted": "delete element inet dockerfw port4 { tcp . 8080 }",
    "an element added": 'add element inet dockerfw foreign { "br-shop" }',
    "a set flushed": "flush set inet dockerfw addr6",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.mark.parametrize("edit", HAND_EDITS.values(), ids=HAND_EDITS.keys())
def test_a_hand_in_the_seal_is_seen_and_undone(shared: Host, edit: str) -> None:
    runner = HostRunner(shared)
    seal.commit(runner, seal.render(SEAL))
    if edit.startswith(("delete rule", "replace rule")):
        edit = edit.replace("LAST", last_rule(shared, edit.split()[4]))
    shared.run(["nft", "-f", "-"], stdin=f"{edit}\n")
    install_seal(runner, SEAL)
    assert seal.read(runner) == seal.wanted(SEAL)


def test_another_element_leaves_the_counters_of_the_rules(host: Host, runner: HostRunner) -> None:
    install_seal(runner, SEAL)
    assert not host.outside.tcp("203.0.113.1", 8080, patience=0.3).reached
    listing = host.run(["nft", "list", "chain", "inet", "dockerfw", "input"]).stdout
    assert "counter packets 0" in listing
    dropped = [line for line in listing.splitlines() if "@port4" in line]
    install_seal(runner, replace(SEAL, guarded=SEAL.guarded | {(None, 4, Port("tcp", 9))}))
    after = host.run(["nft", "list", "chain", "inet", "dockerfw", "input"]).stdout
    assert "counter packets 0" not in dropped[0]
    assert dropped[0] in after


# --- what the seal does to packets ---------------------------------------------------------------


@pytest.fixture
def shop(host: Host) -> Place:
    """Two containers on one bridge, the first one serving."""
    host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
    web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
    web.listen("80/tcp", "53/udp")
    return host.container("neighbour", {"br-shop": ("172.18.0.3/16", "fd00:18::3/64")})


WEB = ("172.18.0.2", "fd00:18::2")
HOST = ("203.0.113.1", "2001:db8:1::1")


def reached(place: Place, addresses: Sequence[str], port: int = 80) -> list[bool]:
    return [place.tcp(address, port, patience=0.5).reached for address in addresses]


@pytest.mark.usefixtures("shop")
def test_the_seal_closes_a_bridge_that_nobody_told_it_of(host: Host, runner: HostRunner) -> None:
    assert reached(host.outside, WEB) == [True, True]
    install_seal(runner, SEAL)
    assert reached(host.outside, WEB) == [False, False]
    assert reached(host, WEB) == [True, True]
    install_seal(runner, replace(SEAL, observe=True))
    assert reached(host.outside, WEB) == [True, True]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.usefixtures("shop")
def test_the_seal_lets_pass_what_iptables_let_pass(
    host: Host, runner: HostRunner, flavour: Flavour
) -> None:
    install_seal(runner, SEAL)
    for family in FAMILIES:
        source = "198.51.100.7" if family == 4 else "2001:db8:10::7"
        mark = f"-j MARK --set-xmark {OK_BIT:#x}/{OK_BIT:#x}"
        host.run([program(flavour, family), *f"-A FORWARD -s {source} {mark}".split()])
    pairs = zip(WEB, ("198.51.100.7", "2001:db8:10::7"), strict=True)
    for address, source in pairs:
        assert host.outside.tcp(address, 80, source=source, patience=0.5).reached
    assert reached(host.outside, WEB) == [False, False]


@pytest.mark.usefixtures("shop")
def test_a_mark_that_came_with_the_packet_does_not_count(host: Host, runner: HostRunner) -> None:
    install_seal(runner, SEAL)
    for family in FAMILIES:
        rule = f"-t mangle -A PREROUTING -j MARK --set-xmark {OK_BIT:#x}/{OK_BIT:#x}"
        host.run([program("nft", family), *rule.split()])
    assert reached(host.outside, WEB) == [False, False]


def test_a_container_gets_its_answers_from_outside(
    host: Host, runner: HostRunner, shop: Place
) -> None:
    host.outside.listen("80/tcp")
    install_seal(runner, SEAL)
    assert reached(shop, ("203.0.113.2", "2001:db8:1::2")) == [True, True]


@pytest.mark.parametrize(
    "inside, mixed, open_", [(True, False, True), (True, True, False), (False, False, False)]
)
def test_a_bridges_own_subnet_passes_unless_restricted_or_mixed(
    inside: bool, mixed: bool, open_: bool
) -> None:
    with Host(bridge_calls=True) as host:
        runner = HostRunner(host)
        host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
        web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
        web.listen("80/tcp")
        other = host.container("other", {"br-shop": ("172.18.0.3/16", "fd00:18::3/64")})
        bridges = frozenset({"br-shop"} if mixed else ())
        install_seal(runner, Seal(OK_BIT, observe=False, inside=inside, mixed_bridges=bridges))
        assert reached(other, WEB) == [open_, open_]


@pytest.mark.usefixtures("shop")
def test_a_bridge_that_is_not_dockers_is_left_alone(host: Host, runner: HostRunner) -> None:
    install_seal(runner, replace(SEAL, foreign_bridges=frozenset({"br-shop"})))
    assert reached(host.outside, WEB) == [True, True]


def test_a_guarded_port_is_closed_from_outside_and_open_from_the_host(
    host: Host, runner: HostRunner
) -> None:
    host.listen("8080/tcp", "8081/tcp")
    install_seal(runner, SEAL)
    assert reached(host.outside, HOST, 8080) == [False, False]
    assert reached(host.outside, HOST, 8081) == [True, True]
    assert reached(host, (*HOST, "127.0.0.1", "::1"), 8080) == [True] * 4


def test_a_port_guarded_at_one_address_is_open_at_another(host: Host, runner: HostRunner) -> None:
    host.ip("addr add 203.0.113.5/24 dev eth0")
    host.listen("53/udp", "8080/tcp")
    address = ip_address("203.0.113.1")
    ports = (Port("tcp", 8080), Port("udp", 53))
    install_seal(runner, replace(SEAL, guarded=frozenset((address, 4, port) for port in ports)))
    assert reached(host.outside, ("203.0.113.1", "203.0.113.5"), 8080) == [False, True]
    answers = [host.outside.udp(a, 53, patience=0.5) for a in ("203.0.113.1", "203.0.113.5")]
    assert [answer.reached for answer in answers] == [False, True]


# --- facts ---------------------------------------------------------------------------------------

DOCKER = """\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
COMMIT
"""


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_facts_tell_dockers_flavour_its_stale_twin_and_the_bridges(
    host: Host, runner: HostRunner, flavour: Flavour
) -> None:
    host.bridge("docker0", "172.17.0.1/16")
    host.ip("link add veth0a1b2c3 type veth peer name p0", "link set veth0a1b2c3 master docker0")
    host.bridge("br-lan")
    host.ip("link add lan0 type veth peer name p1", "link set lan0 master br-lan")
    iptables.commit(runner, flavour, 4, DOCKER)
    found = facts.read(runner)
    assert (found.flavour, found.stale_flavour) == (flavour, None)
    assert (found.ipv6, found.nf_tables, found.docker_user) == (True, True, True)
    assert found.bridges == (Bridge("br-lan", ("lan0",)), Bridge("docker0"))
    assert {ip_address("172.17.0.1"), ip_address("2001:db8:1::1")} <= found.addresses
    other: Flavour = "legacy" if flavour == "nft" else "nft"
    iptables.commit(runner, other, 4, DOCKER.replace("docker0", "br-gone"))
    found = facts.read(runner)
    assert (found.flavour, found.stale_flavour) == (flavour, other)


def test_docker_on_nftables_is_told_by_its_tables(host: Host, runner: HostRunner) -> None:
    host.run(["nft", "add", "table", "ip", "docker-bridges"])
    assert not facts.read(runner).docker_user
    iptables.commit(runner, "nft", 4, DOCKER)
    assert facts.read(runner).docker_user
