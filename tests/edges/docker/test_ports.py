"""Docker's JSON of ports becomes published ports."""

from __future__ import annotations

import pytest

from tests.edges.docker.answers import (
    container,
    one,
    published,
    read,
)
from tests.fakeengine import FakeEngine

PORTS = {
    "one address": (
        [{"IP": "192.0.2.10", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        [("192.0.2.10", 8080, 80, "tcp")],
    ),
    "no address at all is both wildcards": (
        [{"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        [("0.0.0.0", 8080, 80, "tcp"), ("::", 8080, 80, "tcp")],
    ),
    "an empty address is both wildcards": (
        [{"IP": "", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        [("0.0.0.0", 8080, 80, "tcp"), ("::", 8080, 80, "tcp")],
    ),
    "exposed only, engines to 28": ([{"PrivatePort": 9999, "Type": "tcp"}], []),
    "exposed only, engine 29": ([{"IP": "", "PrivatePort": 9999, "Type": "tcp"}], []),
    "routed mode, engines to 28": (
        [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 0, "Type": "tcp"}],
        [],
    ),
    "the same port twice": (
        [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}] * 2,
        [("0.0.0.0", 8080, 80, "tcp")],
    ),
    "udp and sctp": (
        [
            {"IP": "::", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
            {"IP": "0.0.0.0", "PrivatePort": 9, "PublicPort": 49153, "Type": "sctp"},
        ],
        [("0.0.0.0", 49153, 9, "sctp"), ("::", 53, 53, "udp")],
    ),
    "two host ports of one container port": (
        [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8081, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        ],
        [("0.0.0.0", 8080, 80, "tcp"), ("0.0.0.0", 8081, 80, "tcp")],
    ),
    "null instead of a list": (None, []),
}


@pytest.mark.parametrize("case", PORTS)
def test_published_ports(engine: FakeEngine, case: str) -> None:
    entries, expected = PORTS[case]
    engine.answers["/containers/json"] = [container(Ports=entries)]
    assert one(read(engine)).ports == tuple(published(*port) for port in expected)
