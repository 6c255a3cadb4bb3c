"""Questions that cannot be read, and what the error tells to write."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from dockerfw.errors import UsageError
from dockerfw.report.explain import UnknownContainer, explain
from tests.build import policy
from tests.unit.report.explain.scene import BRIDGED, SHOP


@pytest.mark.parametrize(
    "source, target, said",
    [
        ("203.0.113.0/24", "web:80", "203.0.113.1"),
        ("::ffff:192.0.2.1", "web:80", "192.0.2.1"),
        ("fe80::1%eth0", "web:80", "fe80::1@eth0"),
        ("iface:wg0", "web:80", "ADDRESS@INTERFACE"),
        ("any", "web:80", "IP address"),
        ("203.0.113", "web:80", "IP address"),
        ("compose:shop", "web:80", "one container"),
        ("203.0.113.7@", "web:80", "interface"),
        ("203.0.113.7@a-name-of-17-chars", "web:80", "15 characters"),
        ("web@eth0", "web:80", "write web"),
        ("", "web:80", "write an IP address"),
        ("203.0.113.7", "web", "web:80"),
        ("203.0.113.7", "container:web", "web:80"),
        ("203.0.113.7", "172.18.0.2", "172.18.0.2:80"),
        ("203.0.113.7", "2001:db8::1:80", "[ADDRESS]:PORT"),
        ("203.0.113.7", "[2001:db8::1]", "in brackets"),
        ("203.0.113.7", "[zzz]:80", "no IP address"),
        ("203.0.113.7", "172.18.0.0/24:80", "one address"),
        ("203.0.113.7", "compose:shop/db:80", "one container"),
        ("203.0.113.7", "shop-*:80", "no pattern"),
        ("203.0.113.7", "web:0", "1 to 65535"),
        ("203.0.113.7", "web:65536", "1 to 65535"),
        ("203.0.113.7", "web:²", "1 to 65535"),
        ("203.0.113.7", "web:http", "1 to 65535"),
        ("203.0.113.7", "web:80-90", "write 80"),
        ("203.0.113.7", "web:80/dccp", "tcp, udp or sctp"),
        ("203.0.113.7", "web:80/", "tcp, udp or sctp"),
        ("203.0.113.7", ":icmp", "NAME:icmp"),
        ("203.0.113.7", "0.0.0.0:80", ":80"),
        ("203.0.113.7", "", "NAME:PORT"),
        ("203.0.113.7", ":", "1 to 65535"),
        ("camera", "web:80", "no address on a Docker bridge"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(source: str, target: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(policy(), SHOP, BRIDGED, source, target)
    assert said in str(caught.value)
    assert not isinstance(caught.value, UnknownContainer)


def test_an_address_that_is_not_this_hosts_is_refused() -> None:
    own = frozenset({ip_address("192.0.2.1")})
    with pytest.raises(UsageError, match="no address of this host"):
        explain(policy(), SHOP, BRIDGED, "203.0.113.7", "192.0.2.99:8080", own)


@pytest.mark.parametrize("name, near", [("wbe", "web"), ("db", "shop-db-1"), ("Proxy", "proxy")])
def test_an_unknown_container_brings_up_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(UnknownContainer, match=f"did you mean {near}"):
        explain(policy(), SHOP, BRIDGED, "203.0.113.7", f"{name}:80")
    with pytest.raises(UnknownContainer, match=f"did you mean {near}"):
        explain(policy(), SHOP, BRIDGED, name, "web:80")
