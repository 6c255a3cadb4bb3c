"""What boot goes by: nothing before the first apply, and no container's old address."""

from __future__ import annotations

from dockerfw.operations.boot import boot, without_addresses
from dockerfw.operations.session import Session
from tests import build

NOTHING = "no policy was ever applied: NOTHING IS CLOSED before the first dockerfw apply"


def test_nothing_is_installed_before_the_first_apply(session: Session) -> None:
    assert (
        boot(session)
        == "no policy was ever applied: NOTHING IS CLOSED before the first dockerfw apply"
    )


def test_a_first_apply_that_nobody_confirmed_is_none(session: Session) -> None:
    session.store.confirm.begin(0.0)
    assert (
        boot(session)
        == "no policy was ever applied: NOTHING IS CLOSED before the first dockerfw apply"
    )
    assert session.store.confirm.pending() is None


def test_host_ports_and_networks_survive_a_boot_and_addresses_do_not() -> None:
    shown = build.inventory(
        build.network("front", "172.18.0.0/16", "fd00:18::/64"),
        build.container("web", "front 172.18.0.2 fd00:18::2", published="8080:80"),
    )
    bare = without_addresses(shown)
    (web,) = bare.containers
    assert bare.networks == shown.networks
    assert web.ports == shown.containers[0].ports
    assert [(end.network, end.ipv4, end.ipv6) for end in web.endpoints] == [
        ("front", None, None),
    ]
