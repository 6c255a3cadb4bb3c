"""Some policy holds at any time, and never a more open one than was applied."""

from __future__ import annotations

import pytest

from dockerfw.model.policy import Policy
from dockerfw.operations.policy_in_force import CLOSED, InForce, read_policy_in_force
from dockerfw.operations.session import Session
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.state.stored_policy import Applied
from tests.build import container, facts, inventory

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
    policy, text, problem = read_policy_in_force(session.store)
    assert (text, problem) == (None, "locked down until the next apply")
    assert policy.locked_down
    assert not any(rule.sources for rule in policy.allows)


def test_a_lockdown_guards_the_ports_of_host_network_containers_that_rules_guard(
    session: Session,
) -> None:
    rule = b'to = "agent"\nports = [9100]\nfrom = ["192.0.2.1"]\n'
    rules = (b"[[allow]]\n" + rule, b"[[deny]]\n" + rule.replace(b"9100", b"9200"))
    agent = inventory(container("agent", host_network=True))
    for text in rules:
        applied = PolicyText((Document("/etc/config.toml", text),))
        session.store.policy.replace(applied, Applied("/etc/config.toml", 0.0, "nft"))
        guarded = compile_ruleset(applied.parse(), agent, facts("192.0.2.10")).seal.guarded
        assert guarded
        session.store.policy.set_lockdown(True)
        locked = read_policy_in_force(session.store).policy
        assert compile_ruleset(locked, agent, facts("192.0.2.10")).seal.guarded == guarded
        session.store.policy.set_lockdown(False)


def test_a_lockdown_before_the_first_apply_and_with_a_broken_copy(session: Session) -> None:
    session.store.policy.set_lockdown(True)
    assert read_policy_in_force(session.store).policy == CLOSED
    session.store.policy.replace(TEXT, Applied("/etc/config.toml", 0.0, "nft"))
    (session.store.folder / "policy" / "manifest.json").write_text("{")
    session.store.policy.set_lockdown(True)
    assert read_policy_in_force(session.store).policy == CLOSED


@pytest.mark.usefixtures("applied")
def test_a_broken_copy_opens_nothing(session: Session) -> None:
    (session.store.folder / "policy" / "manifest.json").write_text("{")
    policy, text, problem = read_policy_in_force(session.store)
    assert (policy, text) == (Policy(), None)
    assert problem is not None
    assert problem.startswith("the policy in force cannot be read, all is closed: ")
