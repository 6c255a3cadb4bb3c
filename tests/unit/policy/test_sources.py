"""Entries of ``from``."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from dockerfw.model.policy import (
    AddressSource,
    AnySource,
    BridgeSource,
    FileSource,
    HostSource,
    InterfaceSource,
    LanSource,
    Selector,
    SelectorSource,
)
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from tests.policy_text import read, refusal, rule


@pytest.mark.parametrize(
    "word, source",
    [
        ("any", AnySource()),
        ("bridge", BridgeSource()),
        ("192.0.2.7", AddressSource(ip_network("192.0.2.7"))),
        ("192.0.2.0/24", AddressSource(ip_network("192.0.2.0/24"))),
        ("2001:db8::/32", AddressSource(ip_network("2001:db8::/32"))),
        ("fe80::1", AddressSource(ip_network("fe80::1"))),
        ("fec::1", AddressSource(ip_network("fec::1"))),
        ("iface:eth0.10", InterfaceSource("eth0.10")),
        ("iface:exactly15chars_", InterfaceSource("exactly15chars_")),
        ("iface:wg*", InterfaceSource("wg*")),
        ("lan:eth0.10", LanSource("eth0.10")),
        ("host:a.example.org/64", HostSource("a.example.org", prefix=64)),
        ("container:web", SelectorSource(Selector("container", "web"))),
        ("compose:shop/app", SelectorSource(Selector("compose", "shop", "app"))),
        ("label:tier=app", SelectorSource(Selector("label", "tier", "app"))),
        ("network:front", SelectorSource(Selector("network", "front"))),
    ],
)
def test_a_source_is(word: str, source: object) -> None:
    assert read(rule(f'"{word}"', published="80")).allows[0].sources == (source,)


def test_a_list_file_is_read_once_and_keeps_its_path() -> None:
    asked: list[tuple[str, str]] = []

    def read_file(document: str, path: str) -> bytes:
        asked.append((document, path))
        return b"192.0.2.0/24 # office\r\n\r\n2001:db8::1\n192.0.2.0/24\n"

    text = '[sources]\nse = "file:se.netset"\n' + rule('["se", "file:se.netset"]', published="80")
    policy = parse([Document("etc/config.toml", text.encode())], read_file)
    networks = tuple(map(ip_network, ("192.0.2.0/24", "2001:db8::1", "192.0.2.0/24")))
    assert policy.allows[0].sources == (FileSource("se.netset", networks),)
    assert asked == [("etc/config.toml", "se.netset")]


@pytest.mark.parametrize("written", ["vpn.example.org", "VPN.Example.org", "vpn.example.org."])
def test_a_name_is_a_source_that_nobody_has_looked_up_yet(written: str) -> None:
    sources = f'[sources]\nx = ["host:{written}", "192.0.2.1"]\n'
    policy = read(rule('"x"', published="80") + sources)
    assert policy.allows[0].sources == (
        HostSource("vpn.example.org"),
        AddressSource(ip_network("192.0.2.1")),
    )
    assert policy.warnings == ()


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
        ("host:a.example.org/24", "write `host:a.example.org/64`"),
        ("host:a.example.org/", "write `host:a.example.org/64`"),
        ("host:a.example.org/64/64", "write `host:a.example.org/64`"),
        ("lan:eth*", "write one interface, without `*`"),
        ("lan:eth0@if5", "write `iface:eth0`"),
        ("lan:", "`lan:` has no name"),
        ("service:web", "is for `to` only"),
        ("image:nginx", "is for `to` only"),
        ("container:", "`container:` has no name"),
        ("contaner:web", "did you mean `container`?"),
        ("if:eth0", "unknown word `if:`: write `iface:eth0`"),
        ("LAN", "write its network, `192.168.0.0/24`, say, or `lan:eth0`"),
        ("eth0", "an interface is `iface:eth0`"),
        ("br-lan", "an interface is `iface:br-lan`"),
        ("tailscale0", "an interface is `iface:tailscale0`"),
        ("vpn.example.org", "a name in DNS is `host:vpn.example.org`"),
        ("*.example.org", "no name in DNS stands for all below it"),
        ("*", "every address is `any`"),
        ("All", "every address is `any`"),
        ("world", "every address of the outside is `any`"),
        ("localhost", "take it out"),
        ("192.168.1.*", "write `192.168.1.0/24`"),
        ("192.168.*.*", "write `192.168.0.0/16`"),
        ("10.*.*.*", "write `10.0.0.0/8`"),
        ("192.168.1.", "write `192.168.1.0/24`"),
        ("192.168.1", "write `192.168.1.0/24`"),
        ("10/8", "write `10.0.0.0/8`"),
        ("2001:db8:1:*", "write `2001:db8:1::/48`"),
        ("https://example.org/list.txt", "no list is fetched: download it"),
        ("HTTP://example.org/list.txt", "no list is fetched: download it"),
        ("/etc/lists/a.netset", "a list is `file:/etc/lists/a.netset`"),
        ("blocked.txt", "a list is `file:blocked.txt`"),
        ("asn:64500", "nobody is asked which networks that are"),
        ("AS64500", "nobody is asked which networks that are"),
        ("geoip:se", "nobody is asked which networks that are"),
        ("ip:192.0.2.1", "write `192.0.2.1` alone"),
        ("dns:vpn.example.org", "write `host:vpn.example.org`"),
        ("list:a.netset", "write `file:a.netset`"),
        ("!office", "unknown source `office`"),
        ("!any", "leaves nobody"),
        ("!bridge", "write a [[deny]] from `bridge`"),
        ("!iface:wg0", "write a [[deny]] from `iface:wg0`"),
        ("!container:web", "write a [[deny]] from `container:web`"),
        ("!!192.0.2.1", "is negated twice: write `192.0.2.1`"),
        ("! 192.0.2.1", "has a space at its end"),
        ("!", "an empty name"),
        ("!10.0.0.1/8", "has host bits set"),
        (
            "!192.0.2.1",
            "nothing that `!192.0.2.1` could be taken out of: write what is meant before",
        ),
        ("web", "write `container:web` for a container"),
        ("Any", "did you mean `any`?"),
        ("brige", "did you mean `bridge`?"),
        ("", "an empty name"),
        (" any", "write `any`"),
    ],
)
def test_what_is_no_source_is_refused_with_what_to_write(word: str, told: str) -> None:
    assert told in refusal("from", word)


@pytest.mark.parametrize(
    "word", ["LAN", "lan", "asn:64500", "ani", "an", "my", "ant", "eny", "many", "as:1", "nay:1"]
)
def test_everyone_is_never_proposed_for_what_may_mean_less(word: str) -> None:
    assert "`any`" not in refusal("from", word)


@pytest.mark.parametrize("word", ["127.0.0.1", "127.0.0.0/8", "::1"])
def test_this_host_is_no_source_and_said_to_be_none(word: str) -> None:
    [warning] = read(rule(f'"{word}"', published="80")).warnings
    assert "is this host itself, which reaches its containers always" in warning
