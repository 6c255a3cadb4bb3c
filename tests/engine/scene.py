"""What tests with real engines share: who is outside, and dockerfw at work in a test host."""

from __future__ import annotations

from tests.lab.engine import EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host

OFFICE = ("198.51.100.7", "2001:db8:10::7")
STRANGER = ("203.0.113.9", "2001:db8:1::9")
CONFIG = "/etc/dockerfw/config.toml"

SOURCES = """
[sources]
office = ["198.51.100.0/24", "2001:db8:10::/48"]
"""


def source_for(caller: tuple[str, str], address: str) -> str:
    """The caller's address of the family of ``address``."""
    return caller[":" in address]


def strangers_ways(database: EngineContainer) -> tuple[tuple[str, int, str], ...]:
    """For a hammer: to port 5432 of the host in both families, and straight to the container."""
    return (
        (HOST_V4, 5432, STRANGER[0]),
        (HOST_V6, 5432, STRANGER[1]),
        (database.address, 5432, STRANGER[0]),
    )


def allow(what: str, *sources: str) -> str:
    """An ``[[allow]]``; ``what`` is its other lines, such as ``published = [8080]``."""
    return f"[[allow]]\n{what}\nfrom = {list(sources)}\n".replace("'", '"')


def apply(host: Host, *parts: str) -> str:
    """Put this policy in force; what dockerfw said."""
    host.write(CONFIG, SOURCES + "\n".join(parts), 0o600)
    return host.dockerfw("apply", "--yes").stdout
