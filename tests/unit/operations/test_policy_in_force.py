"""Some policy holds at any time, and never a more open one than was applied."""

from __future__ import annotations

import pytest

from dockerfw.model.policy import Policy
from dockerfw.operations.policy_in_force import CLOSED, InForce, read_policy_in_force
from dockerfw.operations.session import Session
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.stored_policy import Applied

TEXT = PolicyText(
    (Document("/etc/config.toml", b'[[allow]]\nto = "web"\nports = [80]\nfrom = ["any"]\n'),)
)


@pytest.fixture
def applied(session: Session) -> None:
    session.store.policy.replace(TEXT, Applied("/etc/config.toml", 0.0, "nft"))


def test_before_the_first_apply_nothing_is_open(session: Session) -> None:
    found = read_policy_in_force(session.store)
    assert found == InForce(Policy(), None, "no policy is in force yet")


@pytest.mark.usefixtures("applied")
def test_it_is_the_one_that_was_applied(session: Session) -> None:
    assert read_policy_in_force(session.store) == InForce(TEXT.parse(), TEXT, None)


@pytest.mark.usefixtures("applied")
def test_a_lockdown_comes_before_it(session: Session) -> None:
    session.store.policy.set_lockdown(True)
    found = read_policy_in_force(session.store)
    assert found == InForce(CLOSED, None, "locked down until the next apply")


@pytest.mark.usefixtures("applied")
def test_a_broken_copy_opens_nothing(session: Session) -> None:
    (session.store.folder / "policy" / "manifest.json").write_text("{")
    policy, text, problem = read_policy_in_force(session.store)
    assert (policy, text) == (Policy(), None)
    assert problem is not None
    assert problem.startswith("the policy in force cannot be read, all is closed: ")
