"""What is read of a host: Docker's flavour of iptables, its bridges, what its kernel has."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel import facts
from dockerfw.kernel.runner import Completed
from dockerfw.model.host import Bridge, Cgroup
from dockerfw.model.routes import Route
from tests.unit.kernel.fake_runner import FakeRunner, broken
from tests.unit.kernel.nft.listing import LIST_FRAMES, LIST_SEAL


def link(name: str, kind: str = "", master: str = "", address: str = "") -> dict[str, object]:
    found: dict[str, object] = {"ifname": name, "linkinfo": {"info_kind": kind}}
    if master:
        found["master"] = master
    found["addr_info"] = [{"local": address}] if address else []
    return found


LINKS = [
    link("lo", address="127.0.0.1"),
    link("docker0", "bridge", address="172.17.0.1"),
    link("veth0a1b2c3", "veth", "docker0"),
    link("br0", "bridge"),
    link("eth0", "", "br0"),
    link("vnet0", "tun", "br0"),
    link("vethzzz", "veth", "br0"),
    link("eth1", "", "bond0"),
]
EMPTY = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
DOCKER = """\
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:FORWARD ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
COMMIT
"""
OURS = "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"
PROC = "/proc/thread-self/net"


ROUTES = [
    {"dst": "default", "gateway": "203.0.113.254", "dev": "eth0"},
    {"dst": "192.168.3.0/24", "dev": "wg0", "scope": "link"},
    {"dst": "10.1.2.3", "nexthops": [{"dev": "eth0"}, {"dev": "wg0"}]},
    {"type": "blackhole", "dst": "10.0.0.0/8"},
]
WAY_BACK = "-w 10 -t mangle -C PREROUTING -m rpfilter -j DROP"
TRY = "nft --check -f -"
TRY_IPTABLES = "iptables-nft-restore --test --noflush"


def machine(
    nft: str | Completed = "",
    legacy: str = "",
    default: str = "nf_tables",
    nft_tables: str | Completed | None = "",
    **files: str,
) -> FakeRunner:
    answers: dict[str, str | Completed] = {
        "ip -json -details address show": json.dumps([*LINKS, {}]),
        "ip -json -4 route show": json.dumps(ROUTES),
        "ip -json -6 route show": "",
        "iptables --version": f"iptables v1.8.9 ({default})",
        **{f"iptables-{f} {WAY_BACK}": broken("iptables: Bad rule\n") for f in ("nft", "legacy")},
        "iptables-nft-save": nft,
        "iptables-legacy-save": legacy,
    }
    if nft_tables is not None:
        answers["nft list chains"] = nft_tables
        answers[TRY] = ""
        answers[TRY_IPTABLES] = ""
    names = "filter\nnat\n" if legacy else ""
    return FakeRunner(answers, {f"{PROC}/ip_tables_names": names, f"{PROC}/if_inet6": "", **files})


@pytest.mark.parametrize(
    "runner, flavour, stale",
    [
        (machine(nft=DOCKER), "nft", None),
        (machine(legacy=DOCKER), "legacy", None),
        (machine(), "nft", None),
        (machine(default="legacy"), "legacy", None),
        (machine(nft=EMPTY, default="legacy"), "legacy", None),
        (machine(nft=DOCKER, legacy=DOCKER), "nft", "legacy"),
        (machine(nft=DOCKER, legacy=DOCKER, default="legacy"), "legacy", "nft"),
        (machine(nft=DOCKER, legacy=DOCKER.replace("docker0", "br-gone")), "nft", "legacy"),
        (
            machine(nft=DOCKER, legacy=DOCKER.replace("docker0", "br-gone"), default="legacy"),
            "nft",
            "legacy",
        ),
        (machine(nft=OURS, legacy=DOCKER), "legacy", "nft"),
        (machine(nft=OURS, default="legacy"), "nft", None),
        (machine(nft=broken("fetch rule set generation id"), legacy=DOCKER), "legacy", None),
    ],
)
def test_the_flavour_is_the_one_that_docker_writes(
    runner: FakeRunner, flavour: str, stale: str | None
) -> None:
    found = facts.read(runner, user=lambda: 0)
    assert (found.flavour, found.stale_flavour) == (flavour, stale)


def test_before_docker_has_written_anything_the_last_flavour_counts() -> None:
    assert facts.read(machine(), prefer="legacy", user=lambda: 0).flavour == "legacy"
    assert facts.read(machine(nft=DOCKER), prefer="legacy", user=lambda: 0).flavour == "nft"


def test_with_no_tool_at_all_there_are_facts_to_close_by() -> None:
    found = facts.at_hand(FakeRunner(), prefer="legacy")
    assert (found.flavour, found.bridges, found.nf_tables) == ("legacy", (), False)
    assert not found.labels
    assert not found.frames


def test_what_one_missing_tool_would_tell_is_all_that_is_not_known() -> None:
    whole = machine(nft=DOCKER)
    less = {k: v for k, v in whole.answers.items() if not k.startswith("ip ")}
    found = facts.at_hand(FakeRunner(less, whole.files))
    assert (found.flavour, found.bridges, found.nf_tables) == ("nft", (), True)
    assert found.ipv6


@pytest.mark.parametrize(
    "nft, tables, docker_user",
    [
        ("", "", True),
        (DOCKER, "table ip filter {\n", True),
        (EMPTY, "table ip docker-bridges {\n}\n", False),
        (OURS, "table ip docker-bridges {\n\tchain forward {\n", True),
    ],
)
def test_docker_on_nftables_has_no_docker_user(nft: str, tables: str, docker_user: bool) -> None:
    found = facts.read(machine(nft=nft, nft_tables=tables), user=lambda: 0)
    assert found.docker_user is docker_user


def test_bridges_are_told_with_the_ports_that_docker_did_not_make() -> None:
    found = facts.read(machine(), user=lambda: 0)
    assert found.bridges == (Bridge("br0", ("eth0", "vethzzz", "vnet0")), Bridge("docker0"))
    assert found.addresses == {ip_address("127.0.0.1"), ip_address("172.17.0.1")}


def test_what_is_dockers_about_a_bridge_is_read_from_the_kernel() -> None:
    runner = machine(nft=DOCKER.replace("docker0", "shop"))
    links = [*LINKS, link("vethfffffff", "veth", "br0"), {**link("lan0", "bridge"), "ifindex": 7}]
    runner.answers = {**runner.answers, "ip -json -details address show": json.dumps(links)}
    found = facts.read(runner, user=lambda: 0)
    assert {b.name: (b.has_containers, b.index) for b in found.bridges} == {
        "br0": (True, 0),
        "docker0": (False, 0),
        "lan0": (False, 7),
    }
    assert found.named_by_docker == {"shop"}


def test_what_the_kernel_has_is_read_from_the_kernel() -> None:
    runner = machine(
        nft_tables=broken("Error: cache initialization failed: Invalid argument"),
        **{"/proc/sys/net/bridge/bridge-nf-call-ip6tables": "1\n"},
    )
    found = facts.read(runner, user=lambda: 0)
    assert (found.ipv6, found.nf_tables, found.br_netfilter) == (True, False, (False, True))
    runner = machine(nft_tables=None)
    runner.files = {}
    found = facts.read(runner, user=lambda: 0)
    assert (found.ipv6, found.nf_tables, found.br_netfilter) == (False, False, (False, False))


IN_SLICE = {
    "/sys/fs/cgroup/cgroup.controllers": "cpu\n",
    "/proc/1/comm": "systemd\n",
    "/run/docker.pid": "17",
    "/proc/17/comm": "dockerd\n",
    "/proc/17/cgroup": "0::/dockerd.slice/docker.service\n",
}


ON_NFTABLES = "table ip docker-bridges {\n}\n"


@pytest.mark.parametrize(
    "runner, backend, docker_user",
    [
        (machine(), None, True),
        (machine(nft=EMPTY), None, True),
        (machine(nft=DOCKER), "iptables", True),
        (machine(legacy=DOCKER), "iptables", True),
        (machine(nft=OURS), "iptables", True),
        (machine(nft_tables=ON_NFTABLES), "nftables", False),
        (machine(nft=OURS, nft_tables=ON_NFTABLES), "nftables", True),
        (machine(nft=DOCKER, nft_tables=ON_NFTABLES), "iptables", True),
    ],
)
def test_what_docker_writes_its_rules_with_is_seen_by_those_that_stand(
    runner: FakeRunner, backend: str | None, *, docker_user: bool
) -> None:
    found = facts.read(runner, user=lambda: 0)
    assert (found.backend, found.docker_user) == (backend, docker_user)


@pytest.mark.parametrize(
    "tried, cgroup, first_packet",
    [
        ("", Cgroup("dockerd.slice", 1, 4711), "closed"),
        (broken("Error: syntax error, unexpected string"), None, "unsupported"),
        (broken("Error: Could not process rule: No such file or directory"), None, "unsupported"),
        (broken("", -11), None, "crashed"),
    ],
)
def test_a_kernel_or_nft_that_cannot_match_cgroups_gets_a_seal_without(
    tried: str | Completed, cgroup: Cgroup | None, first_packet: str
) -> None:
    runner = machine(**IN_SLICE)
    no_seal = broken("Error: No such file or directory")
    runner.answers = {**runner.answers, TRY: tried, LIST_SEAL: no_seal, LIST_FRAMES: no_seal}
    found = facts.read(runner, user=lambda: 0, inode=lambda _: 4711)
    assert (found.proxy.cgroup, found.proxy.first_packet) == (cgroup, first_packet)
    assert found.nf_tables
    assert found.labels == found.frames == (tried == "")


def test_an_iptables_without_connlabel_has_no_labels() -> None:
    runner = machine()
    assert facts.read(runner, user=lambda: 0).labels
    runner.answers = {**runner.answers, TRY_IPTABLES: broken("Couldn't load match `connlabel'")}
    assert not facts.read(runner, user=lambda: 0).labels


def test_without_nf_tables_there_is_nothing_to_put_the_cgroup_in() -> None:
    runner = machine(nft_tables=None, **IN_SLICE)
    found = facts.read(runner, user=lambda: 0, inode=lambda _: 4711)
    assert (found.proxy.cgroup, found.proxy.first_packet) == (None, "unsupported")


NO_NAT = DOCKER.replace("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n", "")
NO_FORWARD = DOCKER.replace("-A FORWARD -o docker0 -j DOCKER\n", "")


@pytest.mark.parametrize(
    "nft, tables, config, there",
    [
        (DOCKER, "", "{}", True),
        (NO_NAT, "", "{}", False),
        (NO_FORWARD, "", "{}", False),
        (OURS, "", "{}", False),
        ("", "", "{}", False),
        ("", "", '{"iptables": false}', True),
        (EMPTY, "table ip docker-bridges {\n\tchain forward {\n", "{}", True),
    ],
)
def test_docker_has_jumps_in_both_tables_or_somebody_flushed_them(
    nft: str, tables: str, config: str, there: bool
) -> None:
    runner = machine(nft=nft, nft_tables=tables, **{"/etc/docker/daemon.json": config})
    assert facts.read(runner, user=lambda: 0).docker_rules is there


def test_the_flavour_of_the_plain_iptables_is_asked_for_only_where_no_rule_tells() -> None:
    runner = machine(nft=DOCKER)
    facts.read(runner, user=lambda: 0)
    assert "iptables --version" not in [command for command, _ in runner.ran]


def test_a_crash_of_nft_is_no_kernel_without_nf_tables() -> None:
    with pytest.raises(Failed, match="nft crashed"):
        facts.read(machine(nft_tables=broken("", -11)), user=lambda: 0)


def test_only_root_can_look() -> None:
    with pytest.raises(Failed, match="must be root"):
        facts.read(machine(), user=lambda: 1000)


def test_routes_are_the_main_table_of_both_families() -> None:
    assert facts.read(machine(), user=lambda: 0).routes == (
        Route(ip_network("0.0.0.0/0"), "eth0"),
        Route(ip_network("192.168.3.0/24"), "wg0"),
        Route(ip_network("10.1.2.3/32"), "eth0"),
        Route(ip_network("10.1.2.3/32"), "wg0"),
    )


@pytest.mark.parametrize(
    "stderr, known",
    [
        ("iptables: Bad rule (does a matching rule exist in that chain?).\n", True),
        ("Warning: Extension rpfilter revision 0 not supported, missing kernel module?\n", False),
        ("iptables v1.8.9 (nf_tables): Couldn't load match `rpfilter': No such file\n", False),
    ],
)
def test_a_kernel_that_cannot_look_for_the_way_back_is_known(stderr: str, known: bool) -> None:
    runner = machine()
    runner.answers = {**runner.answers, f"iptables-nft {WAY_BACK}": broken(stderr)}
    assert facts.read(runner, user=lambda: 0).way_back == known
