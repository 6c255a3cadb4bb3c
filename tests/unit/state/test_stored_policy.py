"""The policy in force, and the addresses of its names beside it."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.model.net import Address
from dockerfw.model.policy import HostAddresses
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.store import Store
from dockerfw.state.stored_policy import Applied
from tests.build import host_name

VPN = "vpn.example.org"
BODY = f'[[allow]]\nto = "db"\nports = 5432\nfrom = "host:{VPN}"\n'.encode()


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


NAMES: HostAddresses = {VPN: addresses("203.0.113.7", "2001:db8::7")}


def text(names: HostAddresses) -> PolicyText:
    return PolicyText((Document("/etc/dockerfw/config.toml", BODY),), names=names)


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
    assert sources == (host_name(VPN, "203.0.113.7", "2001:db8::7"),)


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
    assert state.confirm.restore_previous() is None
    assert in_force(state).names == NAMES


def test_names_without_a_policy_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot write"):
        Store(tmp_path / "lib", tmp_path / "run").policy.remember_names(NAMES)


def test_what_the_host_gave_is_kept_and_need_not_be_there(tmp_path: Path) -> None:
    state = state_with(tmp_path, NAMES)
    applied = Applied("x", 2.0, "nft", given=("nf_tables", "labels"))
    state.policy.replace(text({}), applied)
    assert state.policy.applied() == applied
    file = tmp_path / "lib" / "applied.json"
    file.write_text('{"config": "x", "at": 2.0, "flavour": "nft"}')
    assert state.policy.applied() == Applied("x", 2.0, "nft")
    file.write_text('{"config": "x", "at": 2.0, "flavour": "nft", "given": 7}')
    assert state.policy.applied() is None


def test_what_boot_has_to_load_goes_with_the_policy_in_force(tmp_path: Path) -> None:
    state = state_with(tmp_path, NAMES)
    needed = tmp_path / "lib" / "needs-br_netfilter"
    assert not needed.exists()
    state.policy.replace(text({}), Applied("x", 2.0, "nft", br_netfilter=True))
    assert needed.exists()
    state.confirm.begin(deadline=60.0)
    state.policy.replace(text({}), Applied("x", 3.0, "nft"))
    assert not needed.exists()
    assert state.confirm.restore_previous() is None
    assert needed.exists(), "as it was before"
