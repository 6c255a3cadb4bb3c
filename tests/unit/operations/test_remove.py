"""Before dockerfw is taken out: may it be, and what opens."""

from __future__ import annotations

import pytest

from dockerfw.errors import Failed
from dockerfw.operations.remove import refuse_while_daemon_runs, remove, what_opens
from dockerfw.operations.session import Session
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.stored_policy import Applied
from tests import build


def test_not_under_a_running_daemon(session: Session) -> None:
    with session.store.daemon.claim(), pytest.raises(Failed, match="systemctl stop dockerfw"):
        remove(session)


def test_with_docker_silent_what_was_last_seen_opens(session: Session) -> None:
    web = build.container("web", published=("8080:80", "127.0.0.1:9000:90"))
    dns = build.container("dns", published="192.0.2.10:53:5353/udp")
    session.store.last_seen.remember(build.inventory(web, dns))
    assert what_opens(session) == (
        "192.0.2.10 port 53/udp (IPv4): dns:5353",
        "port 8080/tcp (IPv4): web:80",
        "port 8080/tcp (IPv6): web:80",
    )


def test_while_observing_nothing_opens(session: Session) -> None:
    session.store.last_seen.remember(
        build.inventory(build.container("web", published=("8080:80",)))
    )
    for mode, opens in (("observe", 0), ("enforce", 2)):
        text = f'[firewall]\nmode = "{mode}"\n'.encode()
        policy = PolicyText((Document("/etc/dockerfw/config.toml", text),), {})
        session.store.policy.replace(policy, Applied("/etc/dockerfw/config.toml", 0, "nft"))
        assert len(what_opens(session)) == opens


def test_with_nothing_known_nothing_is_listed(session: Session) -> None:
    assert what_opens(session) == ()


def test_what_a_running_daemon_refuses_is_refused_before_anybody_is_asked(
    session: Session,
) -> None:
    with session.store.daemon.claim(), pytest.raises(Failed, match="systemctl stop dockerfw"):
        refuse_while_daemon_runs(session)
    refuse_while_daemon_runs(session)
