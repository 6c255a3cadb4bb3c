"""``host:`` sources on a host: where names are looked up there, and what moving does to packets."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.state import inventory_file as inventoryfile
from tests.build import allow, policy
from tests.lab.host import Host
from tests.lab.place import Probe, disagreements
from tests.packets.scene import Scene, at, inventory

POLICY = """\
[[allow]]
to = "web"
ports = 80
from = ["host:vpn.example.org", "host:gone.example.org"]
"""


@pytest.mark.parametrize(
    "resolv_conf", ["", "nameserver 127.0.0.1\nsearch example.net\n"], ids=["none", "silent"]
)
def test_the_hosts_file_is_known_whatever_dns_is_worth(host: Host, resolv_conf: str) -> None:
    host.write("/etc/hosts", "198.51.100.7 gw VPN.example.org\n")
    host.write("/etc/resolv.conf", resolv_conf)
    host.write("/etc/dockerfw/config.toml", POLICY)
    host.write("/run/inventory.json", inventoryfile.dump(inventory()))
    done = host.dockerfw("plan", "--inventory", "/run/inventory.json", check=False)
    assert done.returncode == 3, done.stderr
    assert "host:vpn.example.org (198.51.100.7)" in " ".join(done.stdout.split())
    assert "host:gone.example.org has no address" in done.stderr
    assert "config.toml:1: " in done.stderr


def test_an_address_that_a_name_has_no_more_is_not_heard_from_its_next_packet_on() -> None:
    named = policy(allow("host:vpn.example.org", to="web", ports=80))
    web = at("web", 4)
    with Scene() as scene:
        first, second = "198.51.100.7", "203.0.113.9"
        scene.commit(named.with_names({"vpn.example.org": (ip_address(first),)}))
        flow = scene.outside.flow("tcp", web, 80, source=first)
        assert flow.ask()
        scene.commit(named.with_names({"vpn.example.org": (ip_address(second),)}))
        assert not flow.ask(patience=1)
        asked = [Probe(scene.outside, "tcp", web, 80, source=one) for one in (first, second)]
        assert disagreements(zip(asked, (False, True), strict=True)) == []
