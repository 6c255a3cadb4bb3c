"""``host:`` sources on their way: policy, copy on disk, warnings, expectations, plans."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from dockerfw.cli import app as cli
from dockerfw.dns import resolver as resolve
from dockerfw.dns.resolver import Answer, answer
from dockerfw.errors import Failed
from dockerfw.kernel.render import set_state
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network
from dockerfw.model.net import Address
from dockerfw.model.policy import (
    MOST_ADDRESSES,
    AddressSource,
    Allow,
    BridgeSource,
    Expect,
    HostAddresses,
    HostSource,
    Origin,
    Policy,
    PortRange,
    Selector,
    Source,
)
from dockerfw.operations.host_names import with_names
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText, load
from dockerfw.report import warnings as advice
from dockerfw.report.diff import diff
from dockerfw.report.explain import broken_expectations, explain
from dockerfw.rules.compiler import LIST_OVER, compile_ruleset
from dockerfw.state import inventory_file as inventoryfile
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied

VPN, GW = "vpn.example.org", "gw.example.org"
SHOP = Network("n1", "shop", "bridge", "br-shop", (ip_network("172.18.0.0/16"),))
DB = Container("c1", "db", endpoints=(Endpoint("shop", "n1", ip_address("172.18.0.2")),))  # type: ignore[arg-type]
RUNNING = Inventory((DB,), (SHOP,))
FACTS = HostFacts()


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


def host(name: str, *texts: str) -> HostSource:
    return HostSource(name, tuple(map(ip_network, texts)))


def allow(*sources: Source, line: int = 3) -> Allow:
    ports = (PortRange("tcp", 5432, 5432),)
    to = (Selector("container", "db"),)
    return Allow(Origin("config.toml", line), sources, to, ports, written_from=("partners",))


# --- values --------------------------------------------------------------------------------------


def test_every_name_is_known_with_the_first_line_that_has_it() -> None:
    policy = Policy(
        baseline=(BridgeSource(), host("only.example.org"), host(VPN)),
        allows=(allow(host(GW), line=3), allow(host(VPN), host(GW), line=7)),
    )
    assert policy.host_names() == {
        GW: Origin("config.toml", 3),
        VPN: Origin("config.toml", 7),
        "only.example.org": None,
    }


def test_names_are_given_addresses_everywhere_and_lose_those_that_they_had() -> None:
    policy = Policy(
        baseline=(BridgeSource(), host(VPN)), allows=(allow(host(VPN), host(GW, "192.0.2.1")),)
    )
    named = policy.with_names({VPN: addresses("203.0.113.7", "2001:db8::7")})
    assert named.baseline == (BridgeSource(), host(VPN, "203.0.113.7", "2001:db8::7"))
    assert named.allows[0].sources == (host(VPN, "203.0.113.7", "2001:db8::7"), host(GW))


def test_as_many_addresses_as_a_name_may_have_need_no_set_of_their_own() -> None:
    assert MOST_ADDRESSES <= LIST_OVER
    many = host(VPN, *(f"203.0.113.{n}" for n in range(MOST_ADDRESSES)), "2001:db8::7")
    sets = {s.name: s.elements for s in compile_ruleset(_of(many), RUNNING, FACTS).sets}
    assert len(sets["dockerfw-allow4"]) == MOST_ADDRESSES
    assert not any(name.startswith("dockerfw-list") for name in sets)


def _of(*sources: Source) -> Policy:
    return Policy(allows=(allow(*sources),))


def test_a_name_without_an_address_opens_nothing() -> None:
    sets = compile_ruleset(_of(host(VPN)), RUNNING, FACTS).sets
    assert not any(s.elements for s in sets if s.phase == "allow")
    assert advice.nameless(_of(host(VPN), host(GW, "192.0.2.1"))) == (
        f"host:{VPN} has no address, so it opens nothing until it has one",
    )


# --- the copy on disk ----------------------------------------------------------------------------

TEXT = f'[[allow]]\nto = "db"\nports = 5432\nfrom = "host:{VPN}"\n'
NAMES: HostAddresses = {VPN: addresses("203.0.113.7", "2001:db8::7")}


def text(names: HostAddresses) -> PolicyText:
    return PolicyText((Document("/etc/dockerfw/config.toml", TEXT.encode()),), names=names)


def state_with(folder: Path, names: HostAddresses) -> Store:
    state = Store(folder / "lib", folder / "run")
    state.policy.replace(text(names), Applied("/etc/dockerfw/config.toml", 1.0, "nft"))
    return state


def in_force(state: Store) -> PolicyText:
    found = state.policy.load()
    assert found is not None
    return found


def test_the_policy_in_force_knows_its_names_without_asking(tmp_path: Path) -> None:
    state = state_with(tmp_path, NAMES)
    assert in_force(state).names == NAMES
    sources = in_force(state).parse().allows[0].sources
    assert sources == (host(VPN, "203.0.113.7", "2001:db8::7"),)


def test_other_addresses_are_kept_and_make_no_other_policy(tmp_path: Path) -> None:
    state = state_with(tmp_path, NAMES)
    before, stamp = in_force(state), state.policy.stamp()
    state.policy.remember_names({VPN: addresses("203.0.113.8")})
    assert in_force(state).names == {VPN: addresses("203.0.113.8")}
    assert in_force(state) == before == text({})
    assert state.policy.stamp() == stamp


def test_names_go_back_with_the_policy_that_is_rolled_back_to(tmp_path: Path) -> None:
    state = state_with(tmp_path, NAMES)
    state.confirm.begin(deadline=60.0)
    state.policy.replace(text({VPN: addresses("192.0.2.1")}), Applied("x", 2.0, "nft"))
    assert state.confirm.restore_previous()
    assert in_force(state).names == NAMES


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"x": 1}', '{"x": ["y"]}', "\x00"])
def test_names_that_cannot_be_read_are_no_reason_to_refuse_a_policy(
    tmp_path: Path, damage: str
) -> None:
    text(NAMES).save(tmp_path / "copy")
    (tmp_path / "copy" / "names.json").write_text(damage)
    assert load(tmp_path / "copy").names == {}
    (tmp_path / "copy" / "names.json").unlink()
    assert load(tmp_path / "copy") == text({})


def test_a_policy_without_names_keeps_none(tmp_path: Path) -> None:
    text(NAMES).save(tmp_path / "copy")
    text({}).save(tmp_path / "copy")
    assert not (tmp_path / "copy" / "names.json").exists()


def test_names_without_a_policy_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot write"):
        Store(tmp_path / "lib", tmp_path / "run").policy.remember_names(NAMES)


# --- what commands do ----------------------------------------------------------------------------


def answering(monkeypatch: pytest.MonkeyPatch, **answers: Answer) -> list[str]:
    """The names that were asked for, of ``NAME.example.org``; the others do not exist."""
    asked: list[str] = []

    def look_up(_: resolve.System, name: str) -> Answer:
        asked.append(name)
        return answers.get(name.partition(".")[0], Answer(problem="no such name"))

    monkeypatch.setattr(resolve.System, "look_up", look_up)
    return asked


def test_a_name_that_fails_stands_for_what_it_did_in_the_policy_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_with(tmp_path, NAMES)
    answering(monkeypatch)
    found = with_names(state, text({}))
    assert found.names == NAMES
    (warning,) = found.warnings
    assert warning.startswith(f"/etc/dockerfw/config.toml:1: host:{VPN} cannot be looked up")
    answering(monkeypatch, vpn=answer(addresses("192.0.2.9")))
    assert with_names(state, text({})).names == {VPN: addresses("192.0.2.9")}


def test_a_policy_without_names_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch)
    plain = PolicyText((Document("config.toml", b'[sources]\nx = "host:vpn.example.org"\n'),))
    assert with_names(Store(tmp_path, tmp_path), plain) is plain
    assert asked == []


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    path.chmod(0o644)
    return path


def test_check_asks_no_network(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("check opened a socket")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert cli.cli.main(["check", "-c", str(policy_file), "--json"], standalone_mode=False) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "valid": True, "warnings": []}


def test_a_plan_looks_names_up_and_shows_them(
    tmp_path: Path,
    policy_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, vpn=answer(addresses("203.0.113.7")))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "none"))
    recorded = tmp_path / "inventory.json"
    recorded.write_text(inventoryfile.dump(RUNNING))
    arguments = ["plan", "-c", str(policy_file), "--inventory", str(recorded)]
    assert cli.cli.main(arguments, standalone_mode=False) == 3
    told = capsys.readouterr()
    assert f"host:{VPN} (203.0.113.7)" in told.out
    assert told.err == ""


def test_a_change_of_addresses_is_told_by_name() -> None:
    live = compile_ruleset(_of(host(VPN, "203.0.113.7")), RUNNING, FACTS)
    wanted = compile_ruleset(_of(host(VPN, "203.0.113.8")), RUNNING, FACTS)
    found = diff(
        {s.name: set_state(s) for s in live.sets},
        wanted,
        RUNNING,
        before_installed=True,
        host_names={VPN: addresses("203.0.113.8")},
    )
    assert [" ".join(line.split()) for line in found.lines(width=1000)[:-1]] == [
        "- db 5432/tcp closes to 203.0.113.7",
        f"+ db 5432/tcp opens to host:{VPN} (203.0.113.8)",
    ]


def test_explain_names_the_name() -> None:
    rule = replace(
        allow(AddressSource(ip_network("192.0.2.1/32")), host(VPN, "203.0.113.7")),
        written_from=("192.0.2.1", f"host:{VPN}"),
    )
    found = explain(Policy(allows=(rule,)), RUNNING, FACTS, "203.0.113.7", "db:5432")
    assert {row.reason for row in found.rows if row.allowed} == {
        f"allowed by config.toml:3 (from host:{VPN})"
    }


# --- expectations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sources, allowed, told",
    [
        ((host(VPN, "203.0.113.7"),), True, ""),
        ((host(VPN, "203.0.113.8"),), True, "expected allowed, but"),
        ((host(VPN),), True, "not checked: it depends on a host: name"),
        ((host(VPN),), False, ""),
        ((AddressSource(ip_network("192.0.2.1/32")),), True, "expected allowed, but"),
    ],
)
def test_an_expectation_that_depends_on_an_unknown_name_is_not_checked(
    sources: tuple[Source, ...], allowed: bool, told: str
) -> None:
    expect = Expect(Origin("config.toml", 9), "203.0.113.7", "172.18.0.2:5432", allowed)
    policy = replace(_of(*sources), expects=(expect,))
    found = broken_expectations(policy, RUNNING, FACTS)
    if not told:
        assert (found.errors, found.warnings) == ((), ())
    elif told.startswith("not checked"):
        assert found.errors == ()
        assert f"config.toml:9: {told}" in found.warnings[0]
    else:
        assert f"config.toml:9: {told}" in found.errors[0]


def test_an_expectation_that_no_name_could_mend_is_broken_whatever_the_name() -> None:
    expect = Expect(Origin("config.toml", 9), "203.0.113.7", "172.18.0.2:22", allowed=True)
    policy = replace(_of(host(VPN)), expects=(expect,))
    assert broken_expectations(policy, RUNNING, FACTS).errors
