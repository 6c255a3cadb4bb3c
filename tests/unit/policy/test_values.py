"""Words of a policy that are refused, and what they are told to be instead."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given, strategies as st

from dockerfw.errors import PolicyError
from dockerfw.policy.addresses import looks_like_address, network_or_none
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from tests.strategies import profile


def refusal(key: str, word: str | int) -> str:
    """The one finding about ``word`` as the only entry of ``key``."""
    keys = {"to": '"web"', "ports": "80", "from": '"any"'}
    if key == "published":
        del keys["ports"]
    escaped = word if isinstance(word, int) else '"' + word.replace("\\", "\\\\") + '"'
    lines = "\n".join(f"{k} = {v}" for k, v in {**keys, key: f"[{escaped}]"}.items())
    with pytest.raises(PolicyError) as caught:
        parse([Document("p", f"[[allow]]\n{lines}\n".encode())], lambda _document, _path: b"")
    [finding] = caught.value.findings
    return finding.partition(": ")[2]


@pytest.mark.parametrize(
    "word, told",
    [
        ("::ffff:192.0.2.1", "write `192.0.2.1`"),
        ("::ffff:c000:201", "write `192.0.2.1`"),
        ("::ffff:192.0.2.0/120", "write `192.0.2.0/24`"),
        ("fe80::1%eth0", "write `iface:eth0`"),
        ("fe80::1%", "write `iface:NAME`"),
        ("10.0.0.1-10.0.0.9", '"10.0.0.1", "10.0.0.2/31", "10.0.0.4/30", "10.0.0.8/31"'),
        ("10.0.0.1-10.0.0.62", '"10.0.0.1", "10.0.0.2/31", "10.0.0.4/30", "10.0.0.8/29" and so on'),
        ("10.0.0.1-9", "is a range: write networks (CIDR)"),
        ("10.0.0.9-10.0.0.1", "smaller address first"),
        ("10.0.0.1-2001:db8::1", "is a range: write networks (CIDR)"),
        ("2001:db8::-2001:db8::ff", '"2001:db8::/120"'),
        ("10.0.0.1/8", "write `10.0.0.0/8` for the network or `10.0.0.1` for the one address"),
        ("2001:db8::1/32", "write `2001:db8::/32`"),
        ("10.0.0.0/255.0.0.0", "write the length of the prefix, `10.0.0.0/8`"),
        ("10.0.0.0/08", "write the length of the prefix, `10.0.0.0/8`"),
        ("10.0.0", "is no IP address and no network"),
        ("10.0.0.256", "is no IP address and no network"),
        ("010.0.0.1", "is no IP address and no network"),
        ("10.0.0.0/33", "is no IP address and no network"),
        ("10.0.0.0/", "is no IP address and no network"),
        ("2001:db8:::1", "is no IP address and no network"),
        ("2001:db8::/129", "is no IP address and no network"),
        ("80", "is no IP address and no network"),
        ("iface:sixteen-letters-", "has 16 characters, an interface name has at most 15"),
        ("iface:eth0*x", "is no interface name"),
        ("iface:-j", "is no interface name"),
        ("iface:e th", "is no interface name"),
        ("iface:a/b", "is no interface name"),
        ("iface:ä", "is no interface name"),
        ("iface:eth+", "write `eth*`"),
        ("iface:eth0:1", "write `iface:eth0`"),
        ("iface:eth0@if5", "write `iface:eth0`"),
        ("iface:", "`iface:` has no name"),
        ("file:", "`file:` has no name"),
        ("file: x", "has a space at its end"),
        ("host:vpn", "is no full domain name"),
        ("host:192.0.2.1", "write it without `host:`"),
        ("host:-x.example", "is no full domain name"),
        ("service:web", "is for `to` only"),
        ("image:nginx", "is for `to` only"),
        ("container:", "`container:` has no name"),
        ("contaner:web", "did you mean `container`?"),
        ("if:eth0", "unknown word `if:`"),
        ("!office", "write a [[deny]]"),
        ("web", "write `container:web` for a container"),
        ("Any", "did you mean `any`?"),
        ("brige", "did you mean `bridge`?"),
        ("", "an empty name"),
        (" any", "write `any`"),
    ],
)
def test_as_a_source(word: str, told: str) -> None:
    assert told in refusal("from", word)


@pytest.mark.parametrize(
    "word, told",
    [
        (0, "a port is a number from 1 to 65535"),
        (65536, "a port is a number from 1 to 65535"),
        (-1, "a port is a number from 1 to 65535"),
        ("0", "a port is a number from 1 to 65535"),
        ("0/udp", "a port is a number from 1 to 65535"),
        ("65536", "a port is a number from 1 to 65535"),
        ("9" * 5000, "a port is a number from 1 to 65535"),
        ("9-2", "write `2-9/tcp`"),
        ("080", "write `80`"),
        ("8000-08001/udp", "write `8000-8001/udp`"),
        ("80/TCP", "did you mean `tcp`?"),
        ("80/icmp", "the protocol is tcp, udp or sctp"),
        ("80/", "the protocol is tcp, udp or sctp"),
        ("80/tcp/udp", "is no port"),
        ("8080:80", "write the container's port"),
        ("192.0.2.1:80", "write the container's port"),
        ("80-", "is half a range"),
        ("-80", "is half a range"),
        ("1-2-3", "is no port"),
        ("80,443", "is no port"),
        ("icmp/tcp", "write `icmp`"),
        ("*", "write `all`"),
        ("publshed", "did you mean `published`?"),
        ("http", "is no port"),
        ("٨٠", "is no port"),
        ("", "is no port"),
        (" 80", "is no port"),
    ],
)
def test_as_a_container_port(word: str | int, told: str) -> None:
    assert told in refusal("ports", word)


@pytest.mark.parametrize(
    "word, told",
    [
        (0, "a port is a number from 1 to 65535"),
        ("all", "stands in `ports` only"),
        ("icmp", "stands in `ports` only"),
        ("*", "write `1-65535/tcp`"),
        ("2001:db8::1:443", "write `[2001:db8::1]:443`"),
        ("[192.0.2.1]:443", "write `192.0.2.1:443`"),
        ("[2001:db8::1]", "has no port"),
        ("0.0.0.0:80", "write `80`"),
        ("[::]:80/udp", "write `80/udp`"),
        ("192.0.2.0/24:80", "is a network: write one address"),
        ("[::ffff:192.0.2.1]:80", "write `192.0.2.1`"),
        ("[fe80::1%eth0]:80", "has a zone"),
        ("192.0.2.1:", "is no port"),
        (":80", "is no IP address"),
        ("localhost:80", "is no IP address"),
        ("8080:80", "is no IP address"),
        ("192.0.2.1:0", "a port is a number from 1 to 65535"),
    ],
)
def test_as_a_host_port(word: str | int, told: str) -> None:
    assert told in refusal("published", word)


@pytest.mark.parametrize(
    "word, told",
    [
        ("lable:x", "did you mean `label`?"),
        ("project:shop", "write a container's name or one of"),
        ("web:80", "write `web` here and the port in `ports`"),
        ("web:80/tcp", "write `web` here and the port in `ports`"),
        ("compose:", "`compose:` has no name"),
        ("compose:shop/", "an empty name"),
        ("compose:/db", "an empty name"),
        ("compose:a/b/c", "is no name for compose"),
        ("compose:a b", "is no name for compose"),
        ("label:", "`label:` has no name"),
        ("label:=x", "an empty name"),
        ("image:", "`image:` has no name"),
        ("image:a b", "is no name of an image"),
        ("network:", "`network:` has no name"),
        ("network:a*", "takes one exact name"),
        ("service:a*", "takes one exact name"),
        ("iface:eth0", "there is no selector `iface:`"),
        ("!!web", "write `web`"),
        ("!", "an empty name"),
        ("any", "write `*` for every container, or `container:any`"),
        ("172.18.0.4", "`to` takes containers"),
        ("172.18.0.0/16", "`to` takes containers"),
        ("/web", "write the name without the slash, `web`"),
        ("web?", "is no name of a container"),
        ("we b", "is no name of a container"),
        ("", "an empty name"),
        ("web ", "write `web`"),
    ],
)
def test_as_a_target(word: str, told: str) -> None:
    assert told in refusal("to", word)


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.ip_addresses(network="::ffff:0:0/96").map(str),
        st.tuples(st.ip_addresses(), st.integers(0, 130)).map(lambda p: f"{p[0]}/{p[1]}"),
        st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}(/[0-9]{1,3})?", fullmatch=True),
        st.from_regex(r"[0-9a-f:]{2,12}(/[0-9]{1,3})?", fullmatch=True),
        st.text("0123456789abcdefABCDEF.:/%-٣", max_size=20),
    )
)
@profile(4)
def test_a_network_is_what_ipaddress_takes_for_one_less_other_notations(word: str) -> None:
    try:
        network = ip_network(word)
    except ValueError:
        assert network_or_none(word) is None
        return
    found = network_or_none(word)
    assert looks_like_address(word)
    if found is None:
        prefix = word.partition("/")[2]
        mapped = network.version == 6 and int(network.network_address) >> 32 == 0xFFFF
        assert mapped or "%" in word or "." in prefix or prefix[:1] == "0"
    else:
        assert found == network
