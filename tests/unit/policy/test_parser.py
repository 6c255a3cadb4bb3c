"""What a policy file says, as values; and what it is told when it says nothing of sense."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, strategies as st

from dockerfw.errors import PolicyError
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    Expect,
    FileSource,
    HostSource,
    InterfaceSource,
    Origin,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
)
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from dockerfw.policy.settings import SECTIONS
from dockerfw.policy.statements import LISTS
from tests.paths import EXAMPLE
from tests.strategies import profile

EXAMPLE_TEXT = EXAMPLE.read_bytes()


def read(
    text: str,
    conf_d: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> Policy:
    """Parse ``config.toml`` with drop-ins and list files that live in this test alone."""
    drop_ins = (conf_d or {}).items()
    documents = [Document("config.toml", text.encode())]
    documents += [Document(f"conf.d/{name}", body.encode()) for name, body in drop_ins]

    def read_file(_document: str, path: str) -> bytes:
        body = (files or {}).get(path)
        if body is None:
            raise FileNotFoundError(2, "No such file or directory")
        return body if isinstance(body, bytes) else body.encode()

    return parse(documents, read_file)


def refused(
    text: str,
    conf_d: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(text, conf_d, files)
    return list(caught.value.findings)


def bare(word: str) -> str:
    """A TOML string as messages show it."""
    return word.strip('"')


def rule(source: str = '"any"', **keys: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f"[[allow]]\n{lines}from = {source}\n"


# --- what is said --------------------------------------------------------------------------------


def test_an_empty_policy_is_closed_but_for_bridges() -> None:
    policy = read("")
    assert policy == Policy()
    assert policy.baseline == (BridgeSource(),)
    assert not policy.allows


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
        resync=5,
        metrics="127.0.0.1:9567",
        metrics_file="/var/lib/node_exporter/dockerfw.prom",
    )


def test_rules_keep_their_line_and_the_words_of_their_author() -> None:
    policy = read(
        """
[sources]
office = ["198.51.100.0/24", "2001:db8:10::/48"]
all-staff = ["office", "vpn", "office"]
vpn = "iface:wg*"

[[allow]]
to = ["compose:shop/*", "!compose:shop/db", "label:tier=cache"]
ports = ["5432/tcp", "8000-8100/udp", 80]
from = ["all-staff", "192.0.2.7"]

[[deny]]
from = "container:old-*"

[[expect]]
from = "203.0.113.7"
to = "shop-db-1:5432"
is = "denied"
"""
    )
    assert policy.allows == (
        Allow(
            Origin("config.toml", 7),
            (
                AddressSource(ip_network("198.51.100.0/24")),
                AddressSource(ip_network("2001:db8:10::/48")),
                InterfaceSource("wg*"),
                AddressSource(ip_network("192.0.2.7")),
            ),
            to=(
                Selector("compose", "shop", "*"),
                Selector("compose", "shop", "db", negated=True),
                Selector("label", "tier", "cache"),
            ),
            ports=(
                PortRange("tcp", 5432, 5432),
                PortRange("udp", 8000, 8100),
                PortRange("tcp", 80, 80),
            ),
            written_from=("all-staff", "192.0.2.7"),
        ),
    )
    assert policy.denies == (
        Deny(
            Origin("config.toml", 12),
            (SelectorSource(Selector("container", "old-*")),),
            written_from=("container:old-*",),
        ),
    )
    assert policy.expects == (
        Expect(Origin("config.toml", 15), "203.0.113.7", "shop-db-1:5432", allowed=False),
    )


def test_conf_d_adds_rules_and_sources_and_uses_those_of_the_main_file() -> None:
    policy = read(
        '[sources]\noffice = "192.0.2.1"\n' + rule('"branch"', published="8080"),
        {"a.toml": '[sources]\nbranch = "192.0.2.2"\n' + rule('["office"]', published="8081")},
    )
    assert [allow.origin for allow in policy.allows] == [
        Origin("config.toml", 3),
        Origin("conf.d/a.toml", 3),
    ]
    assert policy.allows[1].sources == (AddressSource(ip_network("192.0.2.1")),)


@pytest.mark.parametrize(
    "word, port",
    [
        ("80", PortRange("tcp", 80, 80)),
        ('"80"', PortRange("tcp", 80, 80)),
        ('"80/tcp"', PortRange("tcp", 80, 80)),
        ('"53/udp"', PortRange("udp", 53, 53)),
        ('"9/sctp"', PortRange("sctp", 9, 9)),
        ('"1-65535"', PortRange("tcp", 1, 65535)),
        ('"80-80/udp"', PortRange("udp", 80, 80)),
        ('"icmp"', PortKeyword.ICMP),
        ('"published"', PortKeyword.PUBLISHED),
        ('"all"', PortKeyword.ALL),
    ],
)
def test_a_container_port_is(word: str, port: PortRange | PortKeyword) -> None:
    assert read(rule(to='"web"', ports=word)).allows[0].ports == (port,)


@pytest.mark.parametrize(
    "word, address, ports",
    [
        ("8080", None, PortRange("tcp", 8080, 8080)),
        ('"53/udp"', None, PortRange("udp", 53, 53)),
        ('"9000-9100/tcp"', None, PortRange("tcp", 9000, 9100)),
        ('"192.0.2.10:443"', "192.0.2.10", PortRange("tcp", 443, 443)),
        ('"192.0.2.10:443-445/udp"', "192.0.2.10", PortRange("udp", 443, 445)),
        ('"[2001:db8::1]:443/tcp"', "2001:db8::1", PortRange("tcp", 443, 443)),
    ],
)
def test_a_host_port_is(word: str, address: str | None, ports: PortRange) -> None:
    expected = PublishedSpec(ports, ip_address(address) if address else None)
    assert read(rule(published=word)).allows[0].published == (expected,)


@pytest.mark.parametrize(
    "word, selector",
    [
        ("web", Selector("container", "web")),
        ("web-*", Selector("container", "web-*")),
        ("*", Selector("container", "*")),
        ("container:any", Selector("container", "any")),
        ("!web", Selector("container", "web", negated=True)),
        ("compose:shop", Selector("compose", "shop")),
        ("compose:shop/*", Selector("compose", "shop", "*")),
        ("!compose:shop/db", Selector("compose", "shop", "db", negated=True)),
        ("label:tier", Selector("label", "tier")),
        ("label:tier=", Selector("label", "tier", "")),
        ("label:com.example/x=a=b c", Selector("label", "com.example/x", "a=b c")),
        ("image:registry.example:5000/x:*", Selector("image", "registry.example:5000/x:*")),
        ("network:my net", Selector("network", "my net")),
    ],
)
def test_a_target_is(word: str, selector: Selector) -> None:
    assert read(rule(to=f'"{word}"', ports="80")).allows[0].to == (selector,)


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
        ("container:web", SelectorSource(Selector("container", "web"))),
        ("compose:shop/app", SelectorSource(Selector("compose", "shop", "app"))),
        ("label:tier=app", SelectorSource(Selector("label", "tier", "app"))),
        ("network:front", SelectorSource(Selector("network", "front"))),
    ],
)
def test_a_source_is(word: str, source: object) -> None:
    assert read(rule(f'"{word}"', published="80")).allows[0].sources == (source,)


def test_a_deny_may_name_containers_alone_or_nothing_at_all() -> None:
    denies = read('[[deny]]\nfrom = "any"\n[[deny]]\nto = "web"\nfrom = "any"\n').denies
    assert [deny.to for deny in denies] == [(), (Selector("container", "web"),)]
    assert all(not deny.ports and not deny.published for deny in denies)


def test_sources_that_hold_each_other_many_times_over_are_still_one_list() -> None:
    nested = "".join(f's{n} = ["s{n - 1}", "s{n - 1}"]\n' for n in range(1, 60))
    policy = read(f'[sources]\ns0 = "192.0.2.1"\n{nested}' + rule('"s59"', published="80"))
    assert policy.allows[0].sources == (AddressSource(ip_network("192.0.2.1")),)


def test_a_long_chain_of_sources_is_followed_to_its_end() -> None:
    chain = "".join(f's{n} = "s{n + 1}"\n' for n in range(3000))
    policy = read(f'[sources]\n{chain}s3000 = "any"\n' + rule('"s0"', published="80"))
    assert policy.allows[0].sources == (AnySource(),)


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


# --- what is refused -----------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "lines, finding",
    [
        ('to = "web"\nfrom = "any"', "an allow needs `to` with `ports`, or `published`"),
        (
            'to = "web"\nports = 80\npublished = 80\nfrom = "any"',
            "an allow has `ports` or `published`, not both: write two [[allow]]",
        ),
        (
            'ports = 80\nfrom = "any"',
            '`ports` are ports of containers: add `to` (`to = "*"` is every container)',
        ),
        (
            'to = "web"\nports = 80',
            'no `from`: write who is meant (`from = "any"` is everyone)',
        ),
    ],
)
def test_half_an_allow_is_refused_at_the_line_of_the_rule(lines: str, finding: str) -> None:
    assert refused(f"# an allow\n[[allow]]\n{lines}\n") == [f"config.toml:2: {finding}"]


@pytest.mark.parametrize(
    "lines, finding",
    [
        (
            'to = "web"\nports = 80\npublished = 80\nfrom = "any"',
            "config.toml:1: a deny has `ports` or `published`, not both: write two [[deny]]",
        ),
        (
            'ports = 80\nfrom = "any"',
            (
                'config.toml:1: `ports` are ports of containers: add `to` (`to = "*"` is every '
                "container)"
            ),
        ),
        (
            'from = "any"\nuntil = 2027-01-31T00:00:00Z',
            "config.toml:3: `until` is for [[allow]] only: a deny does not end by itself",
        ),
        (
            'to = "web"',
            'config.toml:1: no `from`: write who is meant (`from = "any"` is everyone)',
        ),
    ],
)
def test_half_a_deny_is_refused(lines: str, finding: str) -> None:
    assert refused(f"[[deny]]\n{lines}\n") == [finding]


@pytest.mark.parametrize("key", ["to", "ports", "published", "from"])
def test_an_empty_list_is_refused_and_not_taken_for_everything(key: str) -> None:
    keys = {"to": '"web"', "published": "80", "from": '"any"', key: "[]"}
    text = "[[deny]]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items() if v)
    expected = f"`{key}` is empty: write at least one entry, or take the rule out"
    assert any(finding.endswith(expected) for finding in refused(text))


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


@pytest.mark.parametrize(
    "until, utc",
    [
        ("2027-01-31T00:00:00Z", datetime(2027, 1, 31, tzinfo=timezone.utc)),
        ("2027-01-31 12:30:00+02:00", datetime(2027, 1, 31, 10, 30, tzinfo=timezone.utc)),
        ("2027-01-31T00:00:00.5z", datetime(2027, 1, 31, 0, 0, 0, 500000, timezone.utc)),
        ("1999-01-01T00:00:00-01:00", datetime(1999, 1, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_a_rule_may_end(until: str, utc: datetime) -> None:
    assert read(rule(published="80", until=until)).allows[0].until == utc


@pytest.mark.parametrize(
    "until, write",
    [
        ("2027-02-01T06:00:00", "write `2027-02-01T06:00:00Z` for UTC"),
        ("2027-02-01", "write `2027-01-31T00:00:00Z` for UTC"),
        ("06:00:00", "write `2027-01-31T00:00:00Z` for UTC"),
        ("'2027-02-01T00:00:00Z'", "write `2027-01-31T00:00:00Z` for UTC"),
        ("1", "write `2027-01-31T00:00:00Z` for UTC"),
        ("9999-12-31T23:59:59-01:00", "lies outside of the years 1 to 9999"),
        ("0001-01-01T00:00:00+01:00", "lies outside of the years 1 to 9999"),
    ],
)
def test_an_end_that_is_no_moment_is_told_how_to_be_written(until: str, write: str) -> None:
    (finding,) = refused(rule(published="80", until=until))
    assert finding.startswith("config.toml:3: ")
    assert write in finding


@pytest.mark.parametrize("written", ["vpn.example.org", "VPN.Example.org", "vpn.example.org."])
def test_a_name_is_a_source_that_nobody_has_looked_up_yet(written: str) -> None:
    sources = f'[sources]\nx = ["host:{written}", "192.0.2.1"]\n'
    policy = read(rule('"x"', published="80") + sources)
    assert policy.allows[0].sources == (
        HostSource("vpn.example.org"),
        AddressSource(ip_network("192.0.2.1")),
    )
    assert policy.warnings == ()


def test_a_name_in_a_deny_is_refused_where_it_is_named_and_through_a_list() -> None:
    text = (
        '[sources]\nbad = "host:vpn.example.org"\n'
        '[[deny]]\nfrom = [\n"host:vpn.example.org",\n"bad",\n]\n'
    )
    told = (
        "`host:vpn.example.org`: a name may fail or change, and this deny would deny nobody: "
        "write addresses or `file:`"
    )
    assert refused(text) == [f"config.toml:5: {told}", f"config.toml:6: {told}"]


def test_a_swarm_service_is_a_selector_of_containers() -> None:
    assert read('[[allow]]\nto = "service:shop_web"\nports = 80\nfrom = "any"\n').allows[0].to == (
        Selector("service", "shop_web"),
    )


def test_all_findings_come_at_once_in_the_order_of_files_and_lines() -> None:
    findings = refused(
        "[[allow]]\n"
        'too = "web"\n'
        "ports = [\n"
        "  80,\n"
        "  0,\n"
        "  true,\n"
        "]\n"
        'to = ["lable:x",\n'
        '  "compose:"]\n'
        'from = ["ofice", "10.0.0.1/8"]\n'
        "[sources]\n"
        'office = "file:gone.netset"\n'
        'bad = "file:bad.netset"\n',
        {"b.toml": "[firewall]\nmode = 'x'\n", "a.toml": "x = 1\n"},
        {"bad.netset": "192.0.2.1\nhello\n"},
    )
    assert findings == [
        "config.toml:2: unknown key `too` in [[allow]]: did you mean `to`?",
        (
            "config.toml:5: `0`: a port is a number from 1 to 65535, or `all` in `ports` for every "
            "port"
        ),
        "config.toml:6: `true` is no port: write a number or a string like `53/udp`",
        "config.toml:8: `lable:x`: there is no selector `lable:`: did you mean `label`?",
        "config.toml:9: `compose:` has no name: write one behind the colon",
        "config.toml:10: unknown source `ofice`: did you mean `office`?",
        (
            "config.toml:10: `10.0.0.1/8` has host bits set: write `10.0.0.0/8` for the network or "
            "`10.0.0.1` for the one address"
        ),
        "config.toml:12: cannot read `gone.netset`: No such file or directory",
        (
            "conf.d/b.toml:1: [firewall] belongs in the main file: conf.d may hold `sources`, "
            "`allow`, `deny`, `expect`"
        ),
        'conf.d/b.toml:2: `x` is unknown here: write "enforce" or "observe"',
        "conf.d/a.toml:1: unknown key `x`",
        "bad.netset:2: `hello`: a list holds IP addresses and CIDRs only",
    ]


# --- [sources] -----------------------------------------------------------------------------------


def test_a_source_that_two_files_define_names_both() -> None:
    text = '[sources]\noffice = "192.0.2.1"\n'
    assert refused("\n" + text, {"a.toml": text}) == [
        "conf.d/a.toml:2: source `office` is defined already, at config.toml:3: rename one"
    ]


def test_a_circle_of_sources_is_named_from_end_to_end() -> None:
    text = '[sources]\na = "b"\nb = ["192.0.2.1",\n  "c"]\nc = "a"\n\nself = "self"\n'
    [first, second] = refused(text)
    assert first.partition(": ")[2] in {
        "sources hold each other in a circle: `a` > `b` > `c` > `a`",
        "sources hold each other in a circle: `b` > `c` > `a` > `b`",
        "sources hold each other in a circle: `c` > `a` > `b` > `c`",
    }
    assert second == "config.toml:7: sources hold each other in a circle: `self` > `self`"


@pytest.mark.parametrize(
    "name, problem",
    [
        ("any", "has a meaning of its own"),
        ("Bridge", "has a meaning of its own"),
        ("192.0.2.1", "looks like an address"),
        ("10", "looks like an address"),
        ("fd00::", "looks like an address"),
        ("file:x", "cannot name a source"),
        ("a/b", "cannot name a source"),
        ("web*", "cannot name a source"),
        ("!office", "cannot name a source"),
        ("my office", "cannot name a source"),
        ("", "cannot name a source"),
        ("a\\nb", "cannot name a source"),
    ],
)
def test_the_name_of_a_source_must_not_look_like_something_else(name: str, problem: str) -> None:
    [finding] = refused(f'[sources]\n"{name}" = "192.0.2.1"\n')
    assert finding.startswith("config.toml:2: `")
    assert problem in finding
    assert finding.isprintable()


@pytest.mark.parametrize("name", ["office", "Office-2", "a.b", "cafe", "file", "büro", "_x"])
def test_the_name_of_a_source_may_be(name: str) -> None:
    text = f'[sources]\n"{name}" = "any"\n' + rule(f'"{name}"', published="80")
    assert read(text).allows[0].sources == (AnySource(),)


def test_an_empty_source_is_refused() -> None:
    assert refused("[sources]\nx = []\n") == [
        "config.toml:2: source `x` is empty: write a source, or take it out"
    ]


def test_a_file_that_is_broken_hides_no_names_from_the_others() -> None:
    findings = refused(rule('"office"', published="80"), {"a.toml": "[sources\n"})
    assert [finding.partition(":")[0] for finding in findings] == ["conf.d/a.toml"]


# --- text that is none ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, finding",
    [
        (b"\xef\xbb\xbf", "config.toml:1: the file starts with a byte order mark"),
        (b"\xff\xfea\0", "config.toml:1: the file starts with a byte order mark"),
        (b"# a\n# \0\n", "config.toml:2: a NUL byte"),
        (b"# a\n\n# b\xe4r\n", "config.toml:3: not UTF-8"),
        (b"#" * (16 * 1024 * 1024 + 1), "config.toml:1: the file is larger than 16 MiB"),
        (b"\n[sources\n", "config.toml:2: not valid TOML"),
        (b"a = 1\na = 2\n", "config.toml:2: not valid TOML: Cannot overwrite a value"),
        (b"\na = [1,\n2\n", "config.toml:3: not valid TOML: Unclosed array at the end"),
        (b"a = " + b"1" * 5000, "config.toml:1: not valid TOML: a number of thousands of digits"),
        (b"a = " + b"[" * 9000, "config.toml:1: "),
        (b"a = 1\rb = 2\n", "config.toml:1: not valid TOML"),
        (
            b"[firewall]\nmode = observe # so\n",
            (
                "config.toml:2: not valid TOML: Invalid value at column 8: write it in quotes, "
                '`"observe"`'
            ),
        ),
        (
            b"[sources]\nx = [2001:db8::1]\n",
            "config.toml:2: not valid TOML: Unclosed array at column 10",
        ),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(data: bytes, finding: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse([Document("config.toml", data)], lambda _document, _path: b"")
    assert str(caught.value).startswith(finding)


@pytest.mark.parametrize(
    "value", ["1.5", "true", "[80]", "{a = 1}", "2027-01-31", "0x" + "f" * 5000]
)
@pytest.mark.parametrize("key", ["to", "ports", "published", "from", "until"])
def test_a_value_of_the_wrong_type_is_refused_at_its_line(key: str, value: str) -> None:
    keys = {"to": '"web"', "ports": "80", "published": "80", key: f"[{value}]"}
    del keys["published" if key != "published" else "ports"]
    findings = refused(rule(**keys) if key != "from" else rule(f"[{value}]", published="80"))
    assert findings
    assert all(finding.startswith("config.toml:") for finding in findings)


def test_control_characters_of_a_policy_never_reach_the_terminal() -> None:
    text = rule('["\\u001b[2Jx", "x\\u202e"]', to='["a\\nb", "a\\u0000"]', ports='"\\u0007"')
    findings = refused(text)
    assert len(findings) == 5
    assert all(finding.isprintable() for finding in findings)


# --- never a traceback ---------------------------------------------------------------------------

KEYS = [*SECTIONS, *LISTS, "sources", "baseline", "mark", "to", "ports", "published", "from", "is"]
WORDS = [
    *(
        "any",
        "a",
        "b",
        "web",
        "!web",
        "192.0.2.1",
        "::/0",
        "10.0.0.1-9",
        "fe80::1%x",
        "80/udp",
        ":",
    ),
    *("file:l", "file:gone", "iface:", "iface:e*", "label:=", "service:x", "host:x.y", "x:80", "%"),
]
_words: st.SearchStrategy[object] = st.sampled_from(WORDS) | st.text(max_size=6)
_leaves = _words | st.integers() | st.booleans() | st.just(2.5) | st.sampled_from([80, 65536])
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)
_tables = st.dictionaries(st.sampled_from(KEYS), _values, max_size=4)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if not isinstance(value, str):
        return str(value).lower()
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08X}" for c in value) + '"'


def parse_or_refuse(data: bytes) -> None:
    """Any other exception than `PolicyError` fails the test; so does a finding of odd form."""

    def read_file(_document: str, path: str) -> bytes:
        if path == "l":
            return b""
        raise FileNotFoundError(2, "No such file or directory")

    findings: tuple[str, ...] = ()
    try:
        parse([Document("p", data)], read_file)
    except PolicyError as error:
        findings = error.findings or ("refused without a reason",)
    for finding in findings:
        assert re.match(r"p:[1-9][0-9]*: .", finding)
        assert finding.isprintable()


@given(st.fixed_dictionaries({}, optional={k: st.lists(_tables) | _values for k in KEYS[:7]}))
@profile(0.5)
def test_a_policy_of_any_shape_is_parsed_or_refused(document: dict[str, object]) -> None:
    lines = "".join(f"{key} = {toml(value)}\n" for key, value in document.items())
    parse_or_refuse(lines.encode())


@given(st.binary(max_size=8), st.integers(0, len(EXAMPLE_TEXT)), st.integers(0, 40))
@profile(1)
def test_an_example_with_any_damage_is_parsed_or_refused(noise: bytes, at: int, cut: int) -> None:
    parse_or_refuse(EXAMPLE_TEXT[:at] + noise + EXAMPLE_TEXT[at + cut :])
