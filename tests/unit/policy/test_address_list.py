"""List files: what they hold, what is refused, what is only remarked on."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest

from dockerfw.errors import PolicyError
from dockerfw.model.policy import FileSource, Policy
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse

ALLOW = '[[allow]]\npublished = 80\nfrom = "file:l"\n'
DENY = '[[deny]]\nfrom = "file:l"\n'


def read(text: str, data: bytes) -> Policy:
    return parse([Document("config.toml", text.encode())], lambda _document, _path: data)


def refused(text: str, data: bytes) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(text, data)
    return list(caught.value.findings)


@pytest.mark.parametrize(
    "data, networks",
    [
        (b"192.0.2.1\n", ["192.0.2.1/32"]),
        (b"192.0.2.0/24 # a comment\n", ["192.0.2.0/24"]),
        (b"# all of it\n\n  2001:db8::/32\t\r\n", ["2001:db8::/32"]),
        (b"192.0.2.1\n192.0.2.1\n", ["192.0.2.1/32", "192.0.2.1/32"]),
        (b"192.0.2.1#x\n# b\xc3\xbcro\n", ["192.0.2.1/32"]),
    ],
)
def test_a_list_holds(data: bytes, networks: list[str]) -> None:
    expected = FileSource("l", tuple(ip_network(network) for network in networks))
    assert read(ALLOW, data).allows[0].sources == (expected,)


@pytest.mark.parametrize(
    "data, finding",
    [
        (b"192.0.2.1\n192.0.2.2", "l:2: the last line has no line end, so the list may be cut off"),
        (b"# nothing", "l:1: the last line has no line end"),
        (b"10.0.0.1/8\n", "l:1: `10.0.0.1/8` has host bits set: write `10.0.0.0/8`"),
        (b"\n192.0.2.1-192.0.2.3\n", "l:2: `192.0.2.1-192.0.2.3` is a range"),
        (b"::ffff:192.0.2.1\n", "l:1: `::ffff:192.0.2.1` is an IPv4 address written as IPv6"),
        (b"192.0.2.1 ; SBL1\n", "l:1: `192.0.2.1 ; SBL1`: a comment begins with `#`"),
        (b"192.0.2.1 192.0.2.2\n", "l:1: `192.0.2.1 192.0.2.2`: write one IP address"),
        (b"192.0.2.1\r192.0.2.2\n", "l:1: `192.0.2.1\\r192.0.2.2`: write one IP address"),
        (b"any\n", "l:1: `any`: a list holds IP addresses and CIDRs only"),
        (b"10.0.0.0/255.0.0.0\n", "l:1: `10.0.0.0/255.0.0.0`: write the length of the prefix"),
        (b"a\0b\n", "l:1: a NUL byte"),
        (b"\n\xff\xff\n", "l:2: not UTF-8"),
        (b"\xef\xbb\xbf192.0.2.1\n", "l:1: the file starts with a byte order mark"),
        (b"\n" * (16 * 1024 * 1024 + 1), "l:1: the file is larger than 16 MiB"),
    ],
)
def test_a_list_is_refused_with_a_line_of_its_own(data: bytes, finding: str) -> None:
    [found] = refused(ALLOW, data)
    assert found.startswith(finding)


def test_of_many_wrong_lines_ten_are_shown_and_the_rest_is_counted() -> None:
    findings = refused(ALLOW, b"x\n" * 25)
    assert findings[9] == "l:10: `x`: a list holds IP addresses and CIDRs only"
    assert findings[10:] == ["l:11: and 15 more"]


@pytest.mark.parametrize("data", [b"", b"\n", b"# nothing\n"])
def test_an_empty_list_is_a_warning_in_an_allow_and_an_error_in_a_deny(data: bytes) -> None:
    assert read(ALLOW, data).warnings == ("config.toml:3: `file:l` is empty, so it opens nothing",)
    assert refused(DENY, data) == [
        "config.toml:2: `file:l` is empty, so this deny would deny nobody"
    ]


def test_an_empty_list_behind_a_name_is_an_error_in_a_deny() -> None:
    text = '[sources]\nbad = ["192.0.2.1", "file:l"]\n[[deny]]\nfrom = ["bad"]\n'
    assert refused(text, b"") == [
        "config.toml:4: `file:l` is empty, so this deny would deny nobody"
    ]


@pytest.mark.parametrize(
    "word, hint",
    [
        ("0.0.0.0/0", "is IPv4 only and leaves IPv6 out: `any` is both families"),
        ("::/0", "is IPv6 only and leaves IPv4 out: `any` is both families"),
        ("0.0.0.0", "is that one address, which nobody has: every address is `any`"),
        ("::", "is that one address, which nobody has: every address is `any`"),
    ],
)
def test_a_whole_family_is_remarked_on_where_it_stands(word: str, hint: str) -> None:
    text = f'[[allow]]\npublished = 80\nfrom = ["192.0.2.1",\n  "{word}"]\n'
    assert read(text, b"").warnings == (f"config.toml:4: `{word}` {hint}",)
    assert read(ALLOW, f"\n{word}\n".encode()).warnings == (f"l:2: `{word}` {hint}",)


def test_a_long_list_is_read_as_ipaddress_reads_it() -> None:
    chance = random.Random(4)
    words = [
        f"{a}.{b}.{c}.0/24"
        for a, b, c in (
            (chance.randrange(224), chance.randrange(256), chance.randrange(256))
            for _ in range(2000)
        )
    ]
    words += [f"2001:db8:{chance.randrange(65536):x}::/48" for _ in range(2000)]
    source = read(ALLOW, "".join(f"{word}\n" for word in words).encode()).allows[0].sources[0]
    assert isinstance(source, FileSource)
    assert source.networks == tuple(map(ip_network, words))
