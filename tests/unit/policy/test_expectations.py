"""Questions that a policy asks of itself: ``[[expect]]``."""

from __future__ import annotations

import pytest

from dockerfw.model.policy import Expect, Origin
from tests.policy_text import read, refused


@pytest.mark.parametrize(
    "text, finding",
    [
        (
            'from = "203.0.113.7"\nto = "db:5432"',
            'config.toml:1: no `is`: write `is = "allowed"` or `is = "denied"`',
        ),
        (
            'from = "203.0.113.7"\nis = "denied"',
            "config.toml:1: no `to`: an expectation has `from`, `to` and `is`",
        ),
        (
            'from = "203.0.113.7"\nto = "db:5432"\nis = "closed"',
            'config.toml:4: `closed` is unknown here: write "allowed" or "denied"',
        ),
        (
            'from = ["203.0.113.7"]\nto = "db:5432"\nis = "denied"',
            "config.toml:2: `[...]` is no string: an expectation asks for one `from`",
        ),
        (
            'from = "203.0.113.0/24"\nto = "db:5432"\nis = "denied"',
            "config.toml:2: `203.0.113.0/24` is a network: write one address",
        ),
        (
            'from = "compose:shop"\nto = "db:5432"\nis = "denied"',
            "config.toml:2: `compose:shop`: write one address or the name of one container",
        ),
        (
            'from = "203.0.113.7"\nto = "db"\nis = "denied"',
            "config.toml:3: `db` has no port: write NAME:PORT, ADDRESS:PORT or :PORT",
        ),
        (
            'from = "203.0.113.7"\nto = "db:0"\nis = "denied"',
            (
                "config.toml:3: `0`: a port is a number from 1 to 65535, or `all` in `ports` for "
                "every port"
            ),
        ),
        (
            'from = "203.0.113.7"\nto = "db:1-9"\nis = "denied"',
            "config.toml:3: `db:1-9`: one port can be asked for, not a range",
        ),
    ],
)
def test_an_expectation_that_asks_nothing_is_refused(text: str, finding: str) -> None:
    assert refused(f"[[expect]]\n{text}\n") == [finding]


@pytest.mark.parametrize("source", ["192.0.2.7", "2001:db8::7@eth0", "shop-app-1", "host"])
@pytest.mark.parametrize(
    "target", ["db:5432", "db:53/udp", "db:icmp", ":8080/tcp", "172.18.0.4:80", "[fd00::4]:80"]
)
def test_an_expectation_asks_in_the_words_of_explain(source: str, target: str) -> None:
    policy = read(f'[[expect]]\nfrom = "{source}"\nto = "{target}"\nis = "allowed"\n')
    assert policy.expects == (Expect(Origin("config.toml", 1), source, target, allowed=True),)
