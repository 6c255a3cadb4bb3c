from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.model.policy import Mode, OnDeny
from dockerfw.plan.state import KernelState
from dockerfw.report.mode_change import mode_change
from dockerfw.rules.compiler import compile_ruleset
from tests.build import allow, facts, inventory, policy
from tests.standing import tables_of

PLAIN = policy(allow("any", to="web", ports=80))


def told(before: Mode, after: Mode, on_deny: OnDeny = "drop") -> tuple[str, ...]:
    stood = replace(PLAIN, mode=before, on_deny=on_deny)
    live = KernelState(tables_of(compile_ruleset(stood, inventory(), facts())), {}, None)
    return mode_change(live, replace(PLAIN, mode=after))


@pytest.mark.parametrize("on_deny", ["drop", "reject"])
def test_a_change_of_mode_is_told(on_deny: OnDeny) -> None:
    (opens,) = told("enforce", "observe", on_deny)
    assert "nothing is dropped from then on" in opens
    (closes,) = told("observe", "enforce")
    assert "what was only counted is dropped" in closes
    assert told("enforce", "enforce", on_deny) == told("observe", "observe") == ()


def test_where_nothing_stands_no_mode_changes() -> None:
    assert mode_change(KernelState({}, {}, None), replace(PLAIN, mode="observe")) == ()
