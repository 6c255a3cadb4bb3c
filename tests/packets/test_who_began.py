"""Who began a connection: what is no answer though it travels as one, and what goes on.

The rules on first packets are taken out of the seal to show what they are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from dockerfw.model.net import FAMILIES, Family
from dockerfw.model.policy import Policy
from tests.build import allow, policy
from tests.lab.guard import LabError
from tests.lab.packet import Packet
from tests.lab.place import Place, Probe, Question, disagreements
from tests.lab.wait import becomes_true, until
from tests.packets.scene import HOST, Scene, at, gateway

CLIENT: dict[Family, str] = {4: "203.0.113.2", 6: "2001:db8:1::2"}
FRIEND: dict[Family, str] = {4: "198.51.100.7", 6: "2001:db8:10::7"}
NOBODY: dict[Family, str] = {4: "203.0.113.77", 6: "2001:db8:1::77"}
"""No kernel there spoils the play by an answer."""


def served_to(*sources: str) -> Policy:
    return policy(
        allow(*sources, to="web", ports=("53/udp", "40000/tcp")),
        allow(*sources, to="db", ports="all"),
        baseline=(),
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[Scene]:
    with Scene() as scene:
        host = scene.host
        neighbour = ":".join(f"{byte:02x}" for byte in scene.outside.mac("eth0"))
        host.ip(*(f"neigh replace {a} lladdr {neighbour} dev eth0" for a in NOBODY.values()))
        for name in ("udp_timeout", "udp_timeout_stream"):
            host.sysctl(f"net/netfilter/nf_conntrack_{name}", 1)
        scene.outside.listen("7/tcp", "53/udp")
        scene.places["db"].listen("4445/udp")
        yield scene


def drop_the_rules_on_first_packets(scene: Scene) -> None:
    """And those on answers that stand in for them, for entries that they never saw."""
    rules = {"forward": "ct state", "output": "ct state", "answers": "dport @served"}
    for chain, words in rules.items():
        listing = scene.host.run(
            ["nft", "-a", "list", "chain", "inet", "dockerfw", chain], check=False
        )
        for handle in re.findall(rf"{words}.* # handle (\d+)$", listing.stdout, re.MULTILINE):
            rule = ["nft", "delete", "rule", "inet", "dockerfw", chain, "handle", handle]
            scene.host.run(rule)


def entries(scene: Scene, family: Family, port: int) -> bool:
    argv = ["conntrack", "-L", "-f", f"ipv{family}", "-p", "udp"]
    return f"port={port} " in scene.host.run(argv).stdout


def sends(scene: Scene, name: str, packet: Packet) -> None:
    scene.places[name].forge(packet, mac=scene.host.mac("br-a"))


# --- UDP -----------------------------------------------------------------------------------------


def heard_after_its_entry_ran_out(scene: Scene, family: Family, source: str, port: int) -> bool:
    """Whether the client's answer to what ``web`` sends from a port that it serves is heard.

    Over IPv4 that is masqueraded, and is answered to this host's address.
    """
    until(lambda: not entries(scene, family, port), "the entries to run out")
    sends(scene, "web", Packet("udp", at("web", family), source, 53, port, payload=b"news"))
    web = scene.places["web"]
    web.received()
    scene.outside.udp(
        HOST[4] if family == 4 else at("web", 6), 53, source=source, source_port=port, patience=0.3
    )
    return bool(web.received())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_withdrawn_client_is_not_heard_once_its_entry_ran_out(
    shared: Scene, family: Family
) -> None:
    shared.commit(served_to(CLIENT[family], FRIEND[family]))
    sent_to = (HOST[4], 5353) if family == 4 else (at("web", 6), 53)
    assert shared.outside.udp(*sent_to, source=CLIENT[family], source_port=7000).reached
    shared.commit(served_to(FRIEND[family]))
    assert not heard_after_its_entry_ran_out(shared, family, CLIENT[family], 7000)
    assert heard_after_its_entry_ran_out(shared, family, FRIEND[family], 7001), "allowed"
    drop_the_rules_on_first_packets(shared)
    assert heard_after_its_entry_ran_out(shared, family, CLIENT[family], 7002), "the leak"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_entry_from_before_dockerfw_opens_no_port_that_is_served(
    shared: Scene, family: Family
) -> None:
    """Without its rules on first packets none has a label, as none had then."""
    shared.host.sysctl("net/netfilter/nf_conntrack_udp_timeout", 60)
    try:
        shared.commit(served_to(FRIEND[family]))
        drop_the_rules_on_first_packets(shared)
        assert heard_after_its_entry_ran_out(shared, family, CLIENT[family], 7004), "the leak"
        shared.commit(served_to(FRIEND[family]))
        web = shared.places["web"]
        web.received()
        asked = HOST[4] if family == 4 else at("web", 6)
        client = CLIENT[family]
        shared.outside.udp(asked, 53, source=client, source_port=7004, patience=0.3)
        assert entries(shared, family, 7004)
        assert not web.received()
    finally:
        shared.host.sysctl("net/netfilter/nf_conntrack_udp_timeout", 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_host_network_container_does_not_begin_at_a_port_that_it_serves(
    shared: Scene, family: Family
) -> None:
    def answered() -> bool:
        shared.host.run(["conntrack", "-F"])
        question = (CLIENT[family], 53)
        return shared.host.udp(*question, source=HOST[family], source_port=9200).reached

    allowed = allow(*FRIEND.values(), to="agent", ports="9200/udp")
    shared.commit(policy(allowed, baseline=("bridge",)))
    assert not answered()
    drop_the_rules_on_first_packets(shared)
    assert answered(), "the leak"


# --- whose answer ---------------------------------------------------------------------------------


def answer_heard(scene: Scene, family: Family, asked: str, who: str) -> bool:
    """Whether what ``who`` sends in the name of ``asked`` is taken for its answer by ``db``.

    Over IPv4 what ``db`` asks is masqueraded, and answered to this host's address there.
    """
    db, own = scene.places["db"], at("db", family)
    scene.host.run(["conntrack", "-F"])
    sends(scene, "db", Packet("udp", own, asked, 4445, 7100, payload=b"question"))
    listing = ["conntrack", "-L", "-f", f"ipv{family}", "-p", "udp", "--src", own]
    until(lambda: "dport=7100" in scene.host.run(listing).stdout, "the entry")
    here = HOST[4] if asked == CLIENT[4] else gateway("br-b", 4)
    answer = Packet("udp", asked, own if family == 6 else here, 7100, 4445, payload=b"answer")
    db.received()
    if who == "outside":
        scene.outside.forge(answer)
    else:
        scene.places[who].forge(answer, mac=scene.host.mac("br-b"))
    heard: list[str] = []

    def arrived() -> bool:
        heard.extend(one.text for one in db.received())
        return "answer" in heard

    return becomes_true(arrived, 0.3)


@pytest.mark.parametrize("baseline", [(), ("bridge",)], ids=["closed", "bridge"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_comes_from_where_the_question_went(
    shared: Scene, family: Family, baseline: tuple[str, ...]
) -> None:
    """A container answers for nobody outside, and the outside for no container."""
    ways = allow("container:db", to="cache", ports="7100/udp")
    shared.commit(policy(ways, baseline=baseline))
    world, cache = CLIENT[family], at("cache", family)
    assert answer_heard(shared, family, world, "outside")
    assert answer_heard(shared, family, cache, "cache")
    assert not answer_heard(shared, family, world, "cache")
    assert not answer_heard(shared, family, cache, "outside")
    drop_the_rules_on_first_packets(shared)
    assert answer_heard(shared, family, world, "cache"), "the leak"
    assert answer_heard(shared, family, cache, "outside"), "the leak"


# --- TCP -----------------------------------------------------------------------------------------


def heard_in_the_middle(scene: Scene, family: Family, own_port: int, port: int) -> bool:
    """Whether the outside's answer to what ``web`` sends in the middle of no connection arrives."""
    scene.host.run(["conntrack", "-F"])
    ends = (at("web", family), NOBODY[family])
    with scene.places["web"].sniff() as sniffer:
        sends(scene, "web", Packet("tcp", *ends, own_port, port, flags="PA", payload=b"push"))
        answer = Packet("tcp", *ends[::-1], port, own_port, flags="PA", payload=b"answer")
        scene.outside.forge(answer)
        seen: list[Packet] = []

        def through() -> bool:
            seen.extend(sniffer.seen())
            return any(p.payload == b"last" for p in seen)

        last = Packet("udp", FRIEND[family], at("web", family), 7, 53, payload=b"last")
        scene.outside.forge(last)
        until(through, "the friend's datagram")
    return any(p.payload == b"answer" for p in seen)


@pytest.mark.parametrize("own_port", [80, 40000, 50000], ids=["low", "served", "ephemeral"])
@pytest.mark.parametrize("family", FAMILIES)
def test_who_is_sent_the_middle_of_no_connection_is_not_heard(
    shared: Scene, family: Family, own_port: int
) -> None:
    shared.iptables(4, "-t", "nat", "-D", "POSTROUTING", "1")
    try:
        shared.commit(served_to(FRIEND[family]))
        assert not heard_in_the_middle(shared, family, own_port, 7020)
        drop_the_rules_on_first_packets(shared)
        assert heard_in_the_middle(shared, family, own_port, 7021), "the leak"
    finally:
        masquerade = "POSTROUTING 1 -s 172.18.0.0/16 ! -o br-a -j MASQUERADE"
        shared.iptables(4, "-t", "nat", "-I", *masquerade.split())


# --- what goes on --------------------------------------------------------------------------------


def test_what_containers_ask_is_answered_whatever_is_open_to_others(shared: Scene) -> None:
    """From the ports that a kernel takes, with every port of ``db`` open to somebody."""
    shared.commit(served_to(*FRIEND.values()))
    asked: tuple[tuple[Question, int], ...] = (("udp", 53), ("tcp", 7))
    table = [
        (Probe(shared.places[name], protocol, address, port), True)
        for name in ("web", "db", "host")
        for protocol, port in asked
        for address in CLIENT.values()
    ]
    table += [(Probe(shared.places["db"], "icmp", a), True) for a in CLIENT.values()]
    assert disagreements(table) == []


@pytest.mark.parametrize("router", [FRIEND, NOBODY], ids=["with", "without a way back"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_icmp_error_does_not_cut_what_a_container_asks(
    shared: Scene, family: Family, router: dict[Family, str]
) -> None:
    """Such a packet carries the entry of the connection that it is about, and none of its own."""
    shared.commit(policy(baseline=()))
    elsewhere = [f"{address} dev wg0" for address in NOBODY.values()]
    shared.host.ip(*(f"route replace {one}" for one in elsewhere))
    try:
        with shared.outside.sniff() as sniffer:
            asking = shared.places["web"].flow("tcp", CLIENT[family], 7)
            assert asking.ask(3)
            sent = next(p for p in sniffer.seen() if p.port == 7)
        # Over IPv4 it is masqueraded.
        shared.outside.forge(Packet("icmp", router[family], sent.source, too_big=sent))
        assert asking.ask(3)
        asking.close()
    finally:
        shared.host.ip(*(f"route del {one}" for one in elsewhere))


@pytest.mark.parametrize("family", FAMILIES)
def test_flushing_conntrack_cuts_no_client_and_lets_containers_begin_anew(
    shared: Scene, family: Family
) -> None:
    shared.commit(policy(allow(CLIENT[family], to="web", ports=80), baseline=()))
    web = shared.places["web"]
    to_host = (HOST[4], 8080) if family == 4 else (at("web", 6), 80)
    client = shared.outside.flow("tcp", *to_host, source=CLIENT[family])
    asking = web.flow("tcp", CLIENT[family], 7)
    shared.host.run(["conntrack", "-F"])
    assert client.ask(3)
    with web.sniff() as sniffer:
        assert not asking.ask(3)
        assert "R" in "".join(p.flags for p in sniffer.seen()), "it hangs"
    again = web.flow("tcp", CLIENT[family], 7)
    assert again.ask(3)
    for flow in (client, asking, again):
        flow.close()


@pytest.mark.parametrize("one_way", [False, True], ids=["both ways", "one way"])
def test_flushing_conntrack_cuts_nothing_between_neighbours(one_way: bool) -> None:
    """As when br_netfilter is switched on: no bridged connection had an entry before."""
    with Scene(bridge_calls=True) as scene:
        ways = [allow("container:web", to="db", ports=5432)] if one_way else []
        scene.commit(policy(*ways, baseline=() if one_way else ("bridge",)))
        web, db = scene.places["web"], scene.places["db"]
        flows = [web.flow("tcp", at("db", family), 5432) for family in FAMILIES]
        scene.host.run(["conntrack", "-F"])
        assert [flow.ask(3) for flow in flows] == [True, True]
        assert opens(db, at("web", 4), 80) != one_way


def opens(place: Place, address: str, port: int) -> bool:
    try:
        place.flow("tcp", address, port, patience=0.5).close()
    except LabError:
        return False
    return True
