from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dockerfw.kernel.ipset import driver, parse


@pytest.fixture(autouse=True)
def protocol_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small machine has no /etc/protocols: the tests bring their own."""

    def number(name: str) -> int:
        try:
            return {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "sctp": 132}[name]
        except KeyError:
            raise OSError(name) from None

    def forget() -> None:
        driver._host_names_protocols.cache_clear()
        parse._port.cache_clear()

    monkeypatch.setattr(socket, "getprotobyname", number)
    forget()
    yield
    forget()
