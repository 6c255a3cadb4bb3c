"""What a plan says in mode observe, where nothing is dropped, and on the way there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dockerfw.model.policy import Mode, Policy
from dockerfw.report.diff import Diff, diff
from dockerfw.rules.compiler import compile_ruleset
from tests.build import allow, container, facts, inventory, network, policy
from tests.standing import sets_of, tables_of

RUNNING = inventory(
    network("front", "172.18.0.0/16"),
    container("web", "front 172.18.0.2", published="8080:80"),
    container("db", "front 172.18.0.3", published="5432:5432"),
)
WEB = policy(allow("any", to="web", ports=80))
BOTH = policy(allow("any", to="web", ports=80), allow("198.51.100.0/24", to="db", ports=5432))


def between(old: Policy | None, new: Policy, before: Mode, after: Mode) -> Diff:
    wanted = compile_ruleset(replace(new, mode=after), RUNNING, facts())
    live = compile_ruleset(replace(old or new, mode=before), RUNNING, facts())
    return diff(
        sets_of(live),
        wanted,
        RUNNING,
        before_installed=old is not None,
        live_tables=tables_of(live),
        observing=after == "observe",
        observed=old is not None and before == "observe",
    )


def test_from_observe_to_enforce_everything_closes_but_what_is_listed() -> None:
    found = between(WEB, WEB, "observe", "enforce")
    assert found.lines() == [
        "every container port closes to all but this host and the Docker bridges:",
        "  - host port 5432/tcp (db:5432)  closes",
        "  - host port 8080/tcp (web:80)   closes",
        "  - db (172.18.0.3)               closes",
        "  - web (172.18.0.2)              closes",
        "except:",
        "  + web 80/tcp                   stays open to any",
        "  + host port 8080/tcp (web:80)  stays open to any",
        "Plan: 2 to stay open, 4 to close",
    ]
    assert found.matters


def test_from_enforce_to_observe_every_port_opens_and_the_rules_would() -> None:
    found = between(WEB, BOTH, "enforce", "observe")
    assert found.lines() == [
        "nothing is dropped any more, so every container port opens to all:",
        "  + host port 5432/tcp (db:5432)  opens",
        "  + host port 8080/tcp (web:80)   opens",
        "  + db (172.18.0.3)               opens",
        "  + web (172.18.0.2)              opens",
        "by the rules:",
        "  + db 5432/tcp                   would open to 198.51.100.0/24",
        "  + host port 5432/tcp (db:5432)  would open to 198.51.100.0/24",
        "Plan: 4 to open, 0 to close",
    ]
    assert found.matters
    assert [change["change"] for change in found.to_json()] == ["open"] * 2 + ["unguard"] * 4


@pytest.mark.parametrize(
    "old, new, lines",
    [
        (
            WEB,
            BOTH,
            [
                "  + db 5432/tcp                   would open to 198.51.100.0/24",
                "  + host port 5432/tcp (db:5432)  would open to 198.51.100.0/24",
                "Plan: nothing opens or closes; enforced, 2 would open, 0 would close",
            ],
        ),
        (
            BOTH,
            WEB,
            [
                "  - db 5432/tcp                   would close to 198.51.100.0/24",
                "  - host port 5432/tcp (db:5432)  would close to 198.51.100.0/24",
                "Plan: nothing opens or closes; enforced, 0 would open, 2 would close",
            ],
        ),
    ],
)
def test_while_observing_nothing_is_said_to_open_or_close(
    old: Policy, new: Policy, lines: list[str]
) -> None:
    found = between(old, new, "observe", "observe")
    assert found.lines() == lines
    assert not found.matters


def test_a_first_apply_that_observes_closes_nothing() -> None:
    found = between(None, WEB, "observe", "observe")
    assert found.lines()[0] == (
        "every container port would close to all but this host and the Docker bridges:"
    )
    assert "  - db (172.18.0.3)               would close" in found.lines()
    assert "  + web 80/tcp                   would stay open to any" in found.lines()
    assert (found.opens, found.closes, found.matters) == (0, 0, False)


def test_a_policy_that_stays_as_it_is_asks_nothing() -> None:
    assert not between(WEB, WEB, "enforce", "enforce").matters
    assert between(WEB, BOTH, "enforce", "enforce").matters
    assert between(None, WEB, "enforce", "enforce").matters
