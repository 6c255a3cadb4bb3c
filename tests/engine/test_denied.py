"""Who was denied, on a real engine and with packets: the command, from the first apply on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Literal

import pytest

from tests.lab.daemon import Daemon
from tests.lab.engine import Engine, Version
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.packet import Packet
from tests.lab.wait import becomes_true

CONFIG = "/etc/dockerfw/config.toml"
GUEST, STRANGER = "198.51.100.7", "203.0.113.9"
POLICY = f"""\
[sources]
office = ["{GUEST}", "192.0.2.0/24"]
[[allow]]
to = "web"
ports = 80
from = "office"
"""


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
def test_who_is_denied_is_shown_and_the_lines_let_them_in(
    flavour: Literal["nft", "legacy"],
) -> None:
    with Host(flavour=flavour) as host, Engine(host, "20.10") as engine:
        engine.container("web", "-p", "8080:80")
        engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})
        host.run(["mkdir", "-p", "/etc/dockerfw"])
        refused = host.dockerfw("denied", check=False)
        assert refused.returncode == 1
        assert "no policy is in force yet, so nobody is denied: `dockerfw init`" in refused.stderr

        def told(*options: str) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(host.dockerfw("denied", "--json", *options).stdout)
            return found

        host.write(CONFIG, POLICY, 0o600)
        host.dockerfw("apply", "--yes")
        assert host.dockerfw("denied").stdout == "No denial is recorded in the last 24 h\n"
        assert host.outside.tcp(HOST_V4, 8080, source=GUEST).text == "web"
        assert told()["denied"] == []

        follower = host.start(
            [sys.executable, "-m", "dockerfw", "denied", "--follow"], stdout=subprocess.PIPE
        )
        assert follower.stdout is not None
        assert follower.stdout.readline() == "Denied from now on; Ctrl-C ends this\n"
        assert not host.outside.tcp(HOST_V4, 5432, source=GUEST).reached
        assert not host.outside.tcp(HOST_V4, 8080, source=STRANGER).reached
        assert not host.outside.tcp(HOST_V6, 8080).reached
        rows = {(r["source"], r["container"], r["port"]): r for r in told()["denied"]}
        assert rows.keys() == {
            (GUEST, "db", "5432/tcp"),
            (STRANGER, "web", "80/tcp"),
            ("2001:db8:1::/64", "web", "80/tcp"),
        }
        assert rows[GUEST, "db", "5432/tcp"]["names"] == ["office"]
        assert rows["2001:db8:1::/64", "web", "80/tcp"]["host_ports"] == [
            {"address": HOST_V6, "protocol": "tcp", "first": 8080, "last": 8080, "others": False}
        ]
        assert told("--since", "1m", "--sort", "noisiest")["schema"] == 1
        assert f"office ({GUEST}) → db:5432/tcp" in follower.stdout.readline()
        follower.kill()

        host.write(CONFIG, POLICY + rows[GUEST, "db", "5432/tcp"]["remedy"] + "\n", 0o600)
        host.dockerfw("apply", "--yes")
        assert host.outside.tcp(HOST_V4, 5432, source=GUEST).text == "db"
        screen = host.dockerfw("denied").stdout
        assert f"office ({GUEST}) → db:5432/tcp" in screen
        assert "the policy allows it now" in screen
        assert f"{STRANGER} → web:80/tcp" in screen

        host.dockerfw("remove", "--yes")
        assert "dockerfw" not in host.run(["ipset", "list", "-n"]).stdout
        assert host.dockerfw("denied", check=False).returncode == 1


METRICS = "127.0.0.1:9567"
ONLY_OFFICE = f"""\
[sources]
office = ["{GUEST}"]
[daemon]
metrics = "{METRICS}"
[[allow]]
to = ["web", "six", "hostnet"]
ports = [9, "8088/udp"]
from = "office"
"""


@pytest.mark.parametrize("version", ["20.10", pytest.param("28.5", marks=pytest.mark.slow)])
def test_one_dropped_packet_is_one_in_each_count(version: Version) -> None:
    """Engine 28 drops itself what is sent straight to a container."""
    with Host() as host, Engine(host, version) as engine:
        engine.docker("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "dual")
        web = engine.container("web", "-p", "5353:53/udp")
        six = engine.container("six", "--network", "dual", "-p", "5354:53/udp")
        engine.container("hostnet", "--network", "host", env={"PORT": "8088"})
        host.run(["mkdir", "-p", "/etc/dockerfw"])
        host.write(CONFIG, ONLY_OFFICE, 0o600)
        host.dockerfw("apply", "--yes")
        with Daemon(host):
            before = counts(host)
            sent = {
                (HOST_V4, 5353): 1,
                (web.address, 54): version == "20.10",
                (HOST_V6, 5353): 1,
                (HOST_V6, 5354): 1,
                (six.ipv6[0], 54): version == "20.10",
                (HOST_V4, 8088): 1,
            }
            for address, port in sent:
                source = "2001:db8:1::9" if ":" in address else STRANGER
                host.outside.forge(Packet("udp", source, address, port=port))
            wanted = {name: number + sum(sent.values()) for name, number in before.items()}
            assert becomes_true(lambda: counts(host) == wanted), (counts(host), wanted)
        rows = json.loads(host.dockerfw("denied", "--json").stdout)["denied"]
        assert [row["packets"] for row in rows] == [1] * sum(sent.values())


def counts(host: Host) -> dict[str, int]:
    """All denied packets, by each that counts them."""
    status = json.loads(host.dockerfw("status", "--json", check=False).stdout)
    records = json.loads(host.dockerfw("denied", "--json").stdout)
    exposed = host.run(["busybox", "wget", "-qO-", f"http://{METRICS}/metrics"]).stdout
    lines = [line for line in exposed.splitlines() if line.startswith("dockerfw_denied_packets_t")]
    return {
        "status": sum(row["packets"] for row in status["denied"]),
        "denied": sum(row["packets"] for row in records["denied"]),
        "metrics": sum(int(float(line.rpartition(" ")[2])) for line in lines),
    }
