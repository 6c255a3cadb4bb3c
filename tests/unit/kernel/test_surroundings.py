"""Interfaces, sockets, and what sees packets before any rule does, by what the tools print."""

from __future__ import annotations

from ipaddress import ip_address

from dockerfw.kernel.surroundings import read
from dockerfw.model.net import Port
from dockerfw.model.surroundings import Early, Listener
from tests.unit.kernel.fake_runner import FakeRunner

CONTAINER = "83463d62b283259ebe37cdcb5eca8ea7a27d973dde049d757a4783881489e64f"
LINKS = """[
 {"ifname": "lo", "flags": ["UP"]},
 {"ifname": "eth0", "flags": ["UP"], "xdp": {"mode": 2, "prog": {"id": 7}}},
 {"ifname": "eth1", "flags": []},
 {"ifname": "docker0", "flags": ["UP"]},
 {"ifname": "vetha211db1", "flags": ["UP"], "linkinfo": {"info_slave_kind": "bridge"}},
 {}
]"""
QUEUES = '[{"kind": "noqueue", "dev": "eth0"}, {"kind": "clsact", "dev": "wg0"}]'
CHAINS = """table netdev x {
	chain y {
		type filter hook ingress device "eth2" priority filter; policy accept;
	}
	chain z {
		type filter hook ingress devices = { "eth3", "eth4" } priority filter; policy accept;
	}
}
"""
SOCKETS = """\
udp UNCONN 0 0 0.0.0.0:5353 0.0.0.0:* users:(("docker-proxy",pid=162,fd=4))
udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:*
tcp LISTEN 0 4096 127.0.0.1:9090 0.0.0.0:* users:(("docker-proxy",pid=254,fd=4))
tcp LISTEN 0 4096 [::]:8080 [::]:* users:(("docker-proxy",pid=148,fd=4))
tcp LISTEN 0 9 *:8088 *:* users:(("httpd",pid=368,fd=3),("httpd",pid=369,fd=3))
tcp LISTEN 0 9 %lo odd
"""
ANSWERS = {
    "ip -json -details link show": LINKS,
    "tc -json qdisc show": QUEUES,
    "tc -json filter show dev wg0 ingress": '[{"kind": "bpf"}]',
    "nft list chains": CHAINS,
    "ss --no-header --numeric --listening --tcp --udp --processes": SOCKETS,
}
FILES = {
    "/proc/sys/net/ipv4/ip_forward": "1\n",
    "/proc/sys/net/ipv6/conf/all/forwarding": "0\n",
    "/proc/thread-self/net/ip_vs": "IP Virtual Server\nProt\n  -> Remote\nTCP  CB007101:1F90 rr\n",
    "/proc/368/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n",
}


def test_interfaces_that_are_up_and_in_no_bridge_take_packets() -> None:
    found = read(FakeRunner(ANSWERS, FILES))
    assert found.interfaces == ("eth0", "docker0")
    assert found.forwarding == (4,)


def test_what_sees_packets_before_the_rules_is_found() -> None:
    assert read(FakeRunner(ANSWERS, FILES)).early == (
        Early("XDP", "eth0"),
        Early("tc", "wg0"),
        Early("nft ingress", "eth2"),
        Early("nft ingress", "eth3"),
        Early("nft ingress", "eth4"),
        Early("IPVS", ""),
    )


def test_sockets_that_listen_are_found_with_the_container_of_their_process() -> None:
    assert read(FakeRunner(ANSWERS, FILES)).listeners == (
        Listener(Port("udp", 5353), None, (4,), "docker-proxy"),
        Listener(Port("udp", 546), ip_address("fe80::1"), (6,)),
        Listener(Port("tcp", 9090), ip_address("127.0.0.1"), (4,), "docker-proxy"),
        Listener(Port("tcp", 8080), None, (6,), "docker-proxy"),
        Listener(Port("tcp", 8088), None, (4, 6), "httpd", CONTAINER),
    )


def test_what_a_missing_tool_would_have_shown_is_unread() -> None:
    found = read(FakeRunner({"ip -json -details link show": "[]"}))
    assert found.early == (Early("tc unread", ""),)
    assert found.listeners is None
