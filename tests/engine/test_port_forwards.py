"""Docker that writes no rules, and somebody who leads host ports to its containers by hand."""

from __future__ import annotations

import pytest

from tests.engine.scene import OFFICE, STRANGER, allow, apply
from tests.lab.daemon import Daemon
from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, Host
from tests.lab.place import Probe, disagreements
from tests.lab.wait import becomes_true

RESYNC = "[daemon]\nresync = 5\n"


@pytest.mark.parametrize("version", ["20.10", pytest.param("28.5", marks=pytest.mark.slow)])
def test_ports_led_on_by_hand_are_judged_like_dockers_own(version: str) -> None:
    with Host() as host, Engine(host, version, "--iptables=false") as engine:  # type: ignore[arg-type]
        web = engine.container("web")
        host.run(["iptables", "-t", "nat", *forward(9999, web.address)])

        def asked(port: int = 9999) -> list[Probe]:
            return [
                Probe(host.outside, "tcp", HOST_V4, port, source=source[0])
                for source in (OFFICE, STRANGER)
            ]

        office, stranger = asked()
        assert disagreements([(office, True), (stranger, True)]) == [], "without dockerfw"
        apply(host, RESYNC, allow('to = "web"\nports = [80]', "office"))
        assert disagreements([(office, True), (stranger, False)]) == []
        said = [
            host.dockerfw("explain", probe.source or "", f":{probe.port}", check=False)
            for probe in (office, stranger)
        ]
        assert [one.returncode for one in said] == [0, 3], said
        assert "NAT of others 9999" in said[0].stdout
        assert host.dockerfw("status", check=False).returncode == 0

        late, closed = asked(9998)
        with Daemon(host):
            host.run(["iptables", "-t", "nat", *forward(9998, web.address)])
            assert becomes_true(lambda: disagreements([(late, True)], brief=0.2) == [], 30)
            assert disagreements([(closed, False), (office, True)]) == []


def forward(port: int, address: str) -> list[str]:
    rule = f"-A PREROUTING -p tcp --dport {port} -j DNAT --to-destination {address}:80"
    return rule.split()
