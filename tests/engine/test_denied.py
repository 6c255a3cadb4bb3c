"""Who was denied, on a real engine and with packets: the command, from the first apply on."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Literal

import pytest

from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, HOST_V6, Host

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
