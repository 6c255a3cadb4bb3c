"""What a whole policy means, and how its findings are reported."""

from __future__ import annotations

from ipaddress import ip_network

from dockerfw.model.policy import (
    AddressSource,
    Allow,
    BridgeSource,
    Deny,
    Expect,
    InterfaceSource,
    Origin,
    Policy,
    PortRange,
    Selector,
    SelectorSource,
)
from tests.policy_text import read, refused, rule


def test_an_empty_policy_is_closed_but_for_bridges() -> None:
    policy = read("")
    assert policy == Policy()
    assert policy.baseline == (BridgeSource(),)
    assert not policy.allows


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


def test_control_characters_of_a_policy_never_reach_the_terminal() -> None:
    text = rule('["\\u001b[2Jx", "x\\u202e"]', to='["a\\nb", "a\\u0000"]', ports='"\\u0007"')
    findings = refused(text)
    assert len(findings) == 5
    assert all(finding.isprintable() for finding in findings)


def test_tables_of_other_programs_are_told_what_they_are_called_here() -> None:
    assert 'write [[deny]], and `on_deny = "reject"` in [firewall]' in refused("[[reject]]\n")[0]
    assert "did you mean [[deny]]?" in refused("[[block]]\n")[0]
    assert "did you mean [[allow]]?" in refused("[[accept]]\n")[0]
