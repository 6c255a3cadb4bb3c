"""By which policy a question is answered."""

from __future__ import annotations

import pytest

from dockerfw.errors import UsageError
from dockerfw.operations.explain import explain
from dockerfw.operations.session import Session
from tests import build

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)


def test_before_the_first_apply_there_is_no_verdict(session: Session) -> None:
    with pytest.raises(UsageError) as refused:
        explain(session, "192.0.2.7", "web:80", None, SHOP)
    assert str(refused.value) == (
        "no policy is in force yet, so nothing is filtered: name a policy with --config"
    )


def test_in_a_lockdown_everything_is_denied(session: Session, notices: list[str]) -> None:
    session.store.policy.set_lockdown(True)
    assert explain(session, "192.0.2.7", "web:80", None, SHOP).verdict == "denied"
    assert notices == ["warning: locked down until the next apply"]
