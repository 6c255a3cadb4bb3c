"""The lab itself: what the other tests take for granted about it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import guard
from tests.lab.engine import Engine
from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.packet import Packet, build, frame, parse
from tests.lab.place import Place, Probe, disagreements, probe
from tests.lab.process import Namespaces
from tests.lab.wait import becomes_true, until
from tests.paths import REPOSITORY


@pytest.fixture
def web(host: Host) -> Place:
    host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
    web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
    web.listen("80/tcp", "53/udp")
    return web


def drop(host: Host, *words: str) -> None:
    host.run(["iptables", "-A", "FORWARD", *words, "-j", "DROP"])


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["172.18.0.2", "fd00:18::2"])
@pytest.mark.parametrize("start", ["outside", "host"])
@pytest.mark.usefixtures("web")
def test_a_container_answers_with_its_name(host: Host, start: str, address: str) -> None:
    place = host.outside if start == "outside" else host
    answers = probe(
        [Probe(place, "tcp", address, 80), Probe(place, "udp", address, 53)],
    )
    assert [str(a) for a in answers] == ["answered (web)", "answered (web)"]
    assert place.ping(address).outcome == "answered"


@pytest.mark.usefixtures("web")
def test_refused_is_told_from_dropped_and_from_unreachable(host: Host) -> None:
    drop(host, "-d", "172.18.0.2", "-p", "tcp", "--dport", "82")
    host.run(["ip", "route", "add", "prohibit", "172.19.0.0/16"])
    answers = probe(
        [Probe(host.outside, "tcp", a, p) for a, p in (("172.18.0.2", 81), ("172.18.0.2", 82))]
        + [Probe(host.outside, "udp", "172.18.0.2", 81), Probe(host.outside, "tcp", "172.19.0.2")],
        patience=0.5,
    )
    assert [a.outcome for a in answers] == ["refused", "silent", "refused", "unreachable"]


def test_a_server_that_accepts_and_says_nothing_is_connected(host: Host) -> None:
    silent = "import socket, time; s = socket.create_server(('', 7)); time.sleep(100)"
    host.start([sys.executable, "-c", silent])
    until(lambda: host.outside.tcp("203.0.113.1", 7).reached, "the server to listen")
    assert host.outside.tcp("203.0.113.1", 7, patience=0.2).outcome == "connected"


@pytest.mark.usefixtures("web")
def test_a_table_names_what_is_open_and_what_is_closed_against_expectation(host: Host) -> None:
    drop(host, "-d", "172.18.0.2", "-p", "udp")
    table = [
        (Probe(host.outside, "tcp", "172.18.0.2", 80), False),
        (Probe(host.outside, "udp", "172.18.0.2", 53), True),
        (Probe(host.outside, "tcp", "fd00:18::2", 80), True),
    ]
    assert disagreements(table, patience=0.5) == [
        "outside -> 172.18.0.2 80/tcp: answered (web), but should be closed",
        "outside -> 172.18.0.2 53/udp: silent, but should be reached",
    ]


def test_the_source_is_the_one_that_was_chosen(host: Host, web: Place) -> None:
    host.outside.add("192.0.2.99", "2001:db8:99::1")
    for source, address in (
        ("198.51.100.7", "172.18.0.2"),
        ("192.0.2.99", "172.18.0.2"),
        ("2001:db8:10::7", "fd00:18::2"),
        ("2001:db8:99::1", "fd00:18::2"),
    ):
        assert host.outside.udp(address, 53, source=source).text == "web"
    assert [r.source for r in web.received()] == [
        "198.51.100.7",
        "192.0.2.99",
        "2001:db8:10::7",
        "2001:db8:99::1",
    ]
    assert web.received() == []


def test_a_udp_broadcast_is_received(host: Host) -> None:
    host.listen("67/udp")
    assert host.outside.udp("203.0.113.255", 67, broadcast=True).text == "host"


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(("protocol", "port"), [("tcp", 80), ("udp", 53)])
def test_a_flow_lives_until_its_packets_are_dropped(host: Host, protocol: str, port: int) -> None:
    flow = host.outside.flow("tcp" if protocol == "tcp" else "udp", "172.18.0.2", port)
    assert flow.ask(patience=5)
    assert flow.ask(patience=5)
    drop(host, "-d", "172.18.0.2")
    assert not flow.ask(patience=0.3)
    host.run(["iptables", "-F", "FORWARD"])
    assert flow.ask(patience=5)


# --- the wire ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet",
    [
        Packet("tcp", "203.0.113.77", "172.18.0.2", 1234, 80),
        Packet("tcp", "203.0.113.77", "172.18.0.2", 1234, 80, "PA", b"odd", 7, 9),
        Packet("udp", "172.18.0.99", "172.18.0.2", 1234, 53, "", b"hello"),
        Packet("sctp", "203.0.113.77", "172.18.0.2", 1234, 9, ""),
        Packet("icmp", "203.0.113.77", "172.18.0.2", 1234, 0, ""),
        Packet("tcp", "2001:db8:77::1", "fd00:18::2", 1234, 80),
        Packet("udp", "fd00:18::99", "fd00:18::2", 1234, 53, "", b"hello"),
        Packet("icmp", "2001:db8:77::1", "fd00:18::2", 1234, 0, ""),
    ],
    ids=lambda p: f"{p.protocol} {p.family} {p.flags}".strip(),
)
def test_a_forged_packet_arrives_as_it_was_made(host: Host, web: Place, packet: Packet) -> None:
    with web.sniff() as sniffer:
        host.outside.forge(packet)
        seen = sniffer.seen()
    wanted = parse(frame(packet, bytes(6), bytes(6)))
    assert wanted is not None
    assert wanted in seen


def test_a_forged_datagram_is_heard_so_its_checksums_are_right(host: Host, web: Place) -> None:
    host.outside.forge(
        Packet("udp", "172.18.0.99", "172.18.0.2", 9, 53, payload=b"four"),
        Packet("udp", "fd00:18::99", "fd00:18::2", 9, 53, payload=b"six"),
    )
    assert [(r.source, r.text) for r in web.received()] == [
        ("172.18.0.99", "four"),
        ("fd00:18::99", "six"),
    ]


@pytest.mark.usefixtures("web")
def test_a_hand_made_syn_is_answered_where_a_port_is_open(host: Host) -> None:
    assert host.outside.syn("172.18.0.2", 80)
    assert host.outside.syn("fd00:18::2", 80, source="2001:db8:1::9")
    drop(host, "-d", "172.18.0.2")
    assert not host.outside.syn("172.18.0.2", 80, patience=0.3)


def test_a_packet_that_is_cut_short_is_no_packet() -> None:
    whole = frame(Packet("tcp", "192.0.2.1", "192.0.2.2"), bytes(6), bytes(6))
    assert parse(whole) == Packet("tcp", "192.0.2.1", "192.0.2.2")
    assert parse(whole[:40]) is None
    assert parse(b"") is None
    assert len(build(Packet("udp", "192.0.2.1", "192.0.2.2", payload=b"abc"))) == 20 + 8 + 3


@pytest.mark.usefixtures("web")
def test_a_hammer_counts_what_is_accepted(host: Host) -> None:
    with host.outside.hammer(("172.18.0.2", 80), ("fd00:18::2", 80, "2001:db8:10::7")) as hammer:
        until(lambda: len(hammer.count().accepted) == 2, "both to be accepted")
        drop(host, "-d", "172.18.0.2")
        before = hammer.count()
        until(lambda: hammer.count().tries > before.tries + 1000, "a thousand more tries")
        after = hammer.stop()
    assert after.accepted["fd00:18::2 80"] > before.accepted["fd00:18::2 80"]
    # One connection may have been accepted, but not yet counted, when the rule came.
    assert after.accepted["172.18.0.2 80"] <= before.accepted["172.18.0.2 80"] + 256


# --- hosts -------------------------------------------------------------------------------------


def test_bridged_packets_meet_iptables_only_where_asked() -> None:
    for calls, outcome in ((False, "answered"), (True, "silent")):
        with Host(bridge_calls=calls) as other:
            other.bridge("br-a", "172.18.0.1/16")
            one = other.container("one", {"br-a": ("172.18.0.2/16",)})
            other.container("two", {"br-a": ("172.18.0.3/16",)}).listen("80/tcp")
            drop(other, "-d", "172.18.0.3")
            assert one.tcp("172.18.0.3", 80, patience=0.3).outcome == outcome


def test_a_container_on_two_bridges_is_reached_on_both(host: Host) -> None:
    host.bridge("br-a", "172.18.0.1/16")
    host.bridge("br-b", "172.19.0.1/16")
    two = host.container("two", {"br-a": ("172.18.0.2/16",), "br-b": ("172.19.0.2/16",)})
    two.listen("80/tcp")
    assert host.outside.tcp("172.18.0.2", 80).text == "two"
    assert host.tcp("172.19.0.2", 80).text == "two"


def test_legacy_is_what_iptables_means_on_a_legacy_host() -> None:
    with Host(flavour="legacy") as host:
        assert "legacy" in host.run(["iptables", "-V"]).stdout
    assert (
        "nf_tables"
        in subprocess.run(["iptables", "-V"], capture_output=True, text=True, check=True).stdout
    )


def test_files_of_a_host_are_its_own(host: Host) -> None:
    host.write("/etc/dockerfw/config.toml", "# empty\n", 0o600)
    assert host.run(["cat", "/etc/dockerfw/config.toml"]).stdout == "# empty\n"
    assert host.run(["stat", "-c", "%a", "/etc/dockerfw/config.toml"]).stdout == "600\n"
    host.run(["mkdir", "-p", "/var/lib/dockerfw", "/run/dockerfw"])
    for path in ("/etc/dockerfw", "/var/lib/dockerfw", "/run/dockerfw", "/run/lab"):
        assert not Path(path).exists(), path


def test_a_command_that_fails_or_hangs_is_reported_with_its_words(host: Host) -> None:
    with pytest.raises(LabError, match=r"exit status 3: .*\nbad news"):
        host.run(["sh", "-c", "echo bad news; exit 3"])
    assert host.run(["false"], check=False).returncode == 1
    with pytest.raises(LabError, match=r"still running after 0\.2 s"):
        host.run(["sleep", "60"], timeout=0.2)
    assert "sleep" not in host.run(["ps", "ax"]).stdout


# --- no harm -----------------------------------------------------------------------------------


def test_the_network_of_the_test_run_is_out_of_bounds(host: Host) -> None:
    own = host.namespaces
    here = Namespaces(own.mount, "/proc/self/ns/net", own.process)
    for path in ("/proc/self/ns/net", f"/proc/{os.getppid()}/ns/net"):
        with pytest.raises(LabError, match="refused"):
            guard.elsewhere(path)
    with pytest.raises(LabError, match="refused"):
        Place(host.agent, "here", "host", here).run(["true"])
    assert guard.elsewhere(own.network) == own.network


def _traces(marker: str) -> list[str]:
    """The processes that live in this network namespace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile
            if str((folder / "ns/net").readlink()) == marker:
                found.append(str(folder))
    return found


def _machine() -> dict[str, str]:
    """All of this machine that the lab must not change; its own traffic goes on, and counts."""
    commands = (["ip", "-o", "addr"], ["nft", "-s", "list", "ruleset"], ["ipset", "list", "-n"])
    state = {
        " ".join(argv): subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        for argv in commands
    }
    state["forward"] = Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii")
    state["mounts"] = Path("/proc/self/mounts").read_text(encoding="utf-8")
    return state


def test_a_host_with_an_engine_leaves_nothing_behind() -> None:
    before = _machine()
    with Host() as host, Engine(host, "20.10") as engine:
        engine.container("web", "-p", "8080:80")
        engine.container("hostnet", "--network", "host", env={"PORT": "81"})
        assert host.outside.tcp("203.0.113.1", 8080).text == "web"
        marker = str(Path(host.namespaces.network).readlink())
        assert _traces(marker)
        groups = Path("/sys/fs/cgroup")
        assert [*groups.glob("*dockerfw-lab-*"), *groups.glob("*/dockerfw-lab-*")]
    assert becomes_true(lambda: not _traces(marker))
    assert _machine() == before


def test_a_killed_test_run_leaves_nothing_behind() -> None:
    script = (
        "import sys, time; from tests.lab.host import Host; h = Host();"
        "h.start(['sleep', '1000']); print(h.pid, flush=True); time.sleep(1000)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    with run:
        assert run.stdout is not None
        marker = str(Path(f"/proc/{int(run.stdout.readline())}/ns/net").readlink())
        assert _traces(marker)
        run.kill()
    assert becomes_true(lambda: not _traces(marker)), _traces(marker)
