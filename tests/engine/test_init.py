"""``dockerfw init`` on a real engine: its policy can be applied as it is, and means that."""

from __future__ import annotations

from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, Host

CONFIG = "/etc/dockerfw/config.toml"
STRANGER = "203.0.113.9"


def test_a_first_policy_keeps_open_observes_or_closes_as_it_says() -> None:
    with Host() as host, Engine(host, "20.10") as engine:
        engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})

        def answers() -> bool:
            return host.outside.tcp(HOST_V4, 5432, source=STRANGER).text == "db"

        def begin(*options: str) -> str:
            host.run(["rm", "-f", CONFIG])
            host.dockerfw("init", "-o", CONFIG, *options)
            return host.run(["cat", CONFIG]).stdout

        host.run(["mkdir", "-p", "/etc/dockerfw"])
        kept = begin("--keep-open")
        host.write(CONFIG, kept.replace('"observe"', '"enforce"'), 0o600)
        host.dockerfw("apply", "--yes")
        assert answers()
        closed = begin()
        host.dockerfw("apply", "--yes")
        assert answers(), "it observes at first"
        asked = "Asked for 5432 in the last day, and allowed by no rule"
        assert asked not in closed
        assert f"{asked}: {STRANGER}." in begin().replace("\n# ", " ")
        host.write(CONFIG, closed.replace('"observe"', '"enforce"'), 0o600)
        host.dockerfw("apply", "--yes")
        assert not answers()
