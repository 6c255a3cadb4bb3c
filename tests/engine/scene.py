"""What tests with real engines share: who is outside, and dockerfw at work in a test host."""

from __future__ import annotations

from tests.lab.host import Host

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


def allow(what: str, *sources: str) -> str:
    """An ``[[allow]]``; ``what`` is its other lines, such as ``published = [8080]``."""
    return f"[[allow]]\n{what}\nfrom = {list(sources)}\n".replace("'", '"')


def apply(host: Host, *parts: str) -> str:
    """Put this policy in force; what dockerfw said."""
    host.write(CONFIG, SOURCES + "\n".join(parts), 0o600)
    return host.dockerfw("apply", "--yes").stdout
