"""The sections ``[defaults]``, ``[firewall]`` and ``[daemon]``."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.model.policy import AddressSource, BridgeSource, Policy
from tests.policy_text import read, refused


def bare(word: str) -> str:
    """A TOML string as messages show it."""
    return word.strip('"')


def test_every_setting_reaches_the_policy() -> None:
    policy = read(
        """
        [defaults]
        baseline = ["192.0.2.7", "bridge"]
        [firewall]
        mode = "observe"
        on_deny = "reject"
        mark = 0x00C0_0000
        committer = "python-iptables"
        log = true
        [daemon]
        resync = 5
        metrics = "127.0.0.1:9567"
        metrics_file = "/var/lib/node_exporter/dockerfw.prom"
        """
    )
    assert policy == Policy(
        baseline=(AddressSource(ip_network("192.0.2.7")), BridgeSource()),
        mode="observe",
        on_deny="reject",
        mark=0x00C00000,
        committer="python-iptables",
        log=True,
        resync=5,
        metrics="127.0.0.1:9567",
        metrics_file="/var/lib/node_exporter/dockerfw.prom",
    )


@pytest.mark.parametrize(
    "text, finding",
    [
        ("[firewal]\n", "config.toml:1: unknown key `firewal`: did you mean `firewall`?"),
        ("[[alow]]\n", "config.toml:1: unknown key `alow`: did you mean `allow`?"),
        ("\nmode = 'observe'\n", "config.toml:2: unknown key `mode`: it belongs in [firewall]"),
        ("[allow]\nto = 1\n", "config.toml:1: `allow` is a list of tables: write [[allow]]"),
        ("[[sources]]\n", "config.toml:1: `sources` is a table: write [sources]"),
        ("daemon = 5\n", "config.toml:1: `daemon` is a table: write [daemon]"),
        (
            "[firewall]\n\nmodus = 'observe'\n",
            "config.toml:3: unknown key `modus` in [firewall]: did you mean `mode`?",
        ),
        (
            "[firewall]\nmode = 'observ'\n",
            'config.toml:2: `observ` is unknown here: write "enforce" or "observe"',
        ),
        (
            "[firewall]\nmode = true\n",
            'config.toml:2: `true` is unknown here: write "enforce" or "observe"',
        ),
        (
            "[firewall]\nmark = 0x10000000\n",
            (
                "config.toml:2: `268435456`: `mark` is a number of 32 bits with exactly two of "
                "them set, like 0x30000000"
            ),
        ),
        (
            "[daemon]\nresync = 0\n",
            "config.toml:2: `0`: `resync` is a number of seconds from 1 to 86400",
        ),
        *(
            (
                f"[daemon]\nmetrics = {word}\n",
                (
                    f"config.toml:2: `{bare(word)}`: `metrics` is a loopback address and a "
                    "port, like `127.0.0.1:9567` or `[::1]:9567`"
                ),
            )
            for word in (
                "9567",
                '"9567"',
                '":9567"',
                '"localhost:9567"',
                '"127.0.0.1"',
                '"127.0.0.1:0"',
                '"127.0.0.1:65536"',
                '"[127.0.0.1]:9567"',
                '"::1:9567"',
                '"[:::1]:9567"',
                '"127.0.0.1:9567/tcp"',
            )
        ),
        *(
            (
                f'[daemon]\nmetrics = "{word}:80"\n',
                (
                    f"config.toml:2: `{word}:80`: `metrics` listens on a loopback address only: "
                    "write `127.0.0.1:80`, and put a reverse proxy before it for other hosts"
                ),
            )
            for word in ("0.0.0.0", "192.0.2.1", "[::]", "[2001:db8::1]")
        ),
        *(
            (
                f"[daemon]\nmetrics_file = {word}\n",
                (
                    f"config.toml:2: `{bare(word)}`: `metrics_file` is the whole path of a "
                    "file, like `/var/lib/node_exporter/dockerfw.prom`"
                ),
            )
            for word in ("true", '""', '"dockerfw.prom"', '"/var/lib/"')
        ),
        (
            "[defaults]\nbaseline = 5\n",
            'config.toml:2: `5` is no string: write one like `"192.0.2.0/24"` or `"any"`',
        ),
    ],
)
def test_a_wrong_setting_is_refused(text: str, finding: str) -> None:
    assert refused(text) == [finding]


@pytest.mark.parametrize("mark", ["0", "-3", "7", "0x1_0000_0001", "true", "'0x3'", "3.0"])
def test_a_mark_without_exactly_two_bits_of_32_is_refused(mark: str) -> None:
    [finding] = refused(f"[firewall]\nmark = {mark}\n")
    assert "exactly two of them set" in finding


@pytest.mark.parametrize("mark", [0x3, 0x80000001, 0x0101])
def test_any_two_bits_make_a_mark(mark: int) -> None:
    assert read(f"[firewall]\nmark = {mark}\n").mark == mark
