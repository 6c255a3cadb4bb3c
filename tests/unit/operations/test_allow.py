"""Rules for a while: which are listed, which go, and when none is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dockerfw.errors import Failed, PolicyError, UsageError
from dockerfw.operations.allow import Hands, Wish, allow, end, open_for_a_while
from dockerfw.operations.apply import Terms, apply
from dockerfw.operations.plan import PolicyPlan, plan_from_nothing
from dockerfw.operations.session import Session
from dockerfw.policy.files import PolicyText
from dockerfw.report import temporary
from dockerfw.text import iso_moment
from tests import build
from tests.clock import NOW
from tests.unit.operations.conftest import PlayedSession

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)


def rule(source: str, seconds: float, note: str = "") -> str:
    until = iso_moment(NOW + seconds)
    return f'[[allow]]  # {note}\nto = "web"\nports = [80]\nfrom = ["{source}"]\nuntil = {until}\n'


OVER, ONE, TWO = rule("192.0.2.1", -60), rule("192.0.2.2", 60, "bob"), rule("192.0.2.3", 90)
TEMPORARY = f"# of the team\n{OVER}\n{ONE}\n# about the next\n{TWO}"
OTHER = rule("192.0.2.9", 30)


def ask(session: Session, text: PolicyText) -> Callable[[], PolicyPlan]:
    return lambda: plan_from_nothing(session, text, SHOP)


NOBODY = Hands("alice", ask=ask)


class Bench:
    def __init__(self, session: PlayedSession, folder: Path) -> None:
        self.session = session
        self.config = folder / "config.toml"
        self.temporary = folder / "conf.d/temporary.toml"
        self.temporary.parent.mkdir(mode=0o700)
        self.write(self.config, OTHER)
        self.write(self.temporary, TEMPORARY)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    def apply(self, terms: Terms | None = None) -> None:
        apply(self.session, self.config, terms or Terms(), lambda _: None, ask)

    def listed(self) -> list[tuple[int | None, str, bool]]:
        found = open_for_a_while(self.session, self.config)
        return [(one.number, one.allow.written_from[0], one.in_force) for one in found]

    def in_force(self) -> list[str]:
        text = self.session.store.policy.load()
        assert text is not None
        return [allow.written_from[0] for allow in text.parse().allows]


@pytest.fixture
def bench(played: PlayedSession, tmp_path: Path) -> Bench:
    found = Bench(played, tmp_path)
    found.apply()
    return found


def test_what_is_over_is_not_listed_and_numbers_are_those_of_the_file(bench: Bench) -> None:
    assert bench.listed() == [(2, "192.0.2.2", True), (3, "192.0.2.3", True),
                              (None, "192.0.2.9", True)]  # fmt: skip


def test_a_rule_that_stands_in_the_file_alone_is_told(bench: Bench) -> None:
    bench.write(bench.temporary, TEMPORARY + "\n" + rule("192.0.2.4", 60))
    assert (4, "192.0.2.4", False) in bench.listed()
    bench.session.store.policy.set_lockdown(True)
    assert not any(in_force for _, _, in_force in bench.listed())


def test_the_list_has_who_and_until_when_at_any_width(bench: Bench) -> None:
    found = open_for_a_while(bench.session, bench.config)
    lines = temporary.lines(found, 120)
    assert lines[1] == "  2 192.0.2.2 → web 80/tcp  until 2027-01-15 08:01 UTC; bob"
    assert lines[-1] == "To end one: dockerfw allow --end NUMBER"
    assert max(map(len, temporary.lines(found[:2], 60))) <= 60
    told = temporary.to_json(found)[0]
    assert (told["number"], told["until"], told["note"]) == (2, "2027-01-15T08:01:00Z", "bob")


def test_where_nothing_is_open_the_next_step_is_told() -> None:
    assert "dockerfw allow SOURCE TARGET --for 2h" in " ".join(temporary.lines([], 80))


def test_one_that_is_ended_goes_from_the_file_and_from_what_is_in_force(bench: Bench) -> None:
    end(bench.session, bench.config, 2, NOBODY)
    assert bench.temporary.read_text() == f"# of the team\n\n# about the next\n{TWO}"
    assert bench.temporary.stat().st_mode & 0o777 == 0o600
    assert bench.in_force() == ["192.0.2.9", "192.0.2.3"]
    assert bench.listed() == [(1, "192.0.2.3", True), (None, "192.0.2.9", True)]
    kept = bench.session.store.history.entries()[-1]
    assert (kept.user, kept.what) == ("alice", "allow --end 2")


@pytest.mark.parametrize("number", [0, 1, 4, -1])
def test_only_what_runs_can_be_ended(bench: Bench, number: int) -> None:
    with pytest.raises(UsageError, match=f"there is no rule {number} to end"):
        end(bench.session, bench.config, number, NOBODY)
    assert bench.temporary.read_text() == TEMPORARY


def refused(bench: Bench, error: type[Exception], reason: str) -> None:
    """Neither is anything opened nor ended, nor anything written."""
    before, policy = bench.temporary.read_text(), bench.session.store.policy.stamp()
    with pytest.raises(error, match=reason):
        end(bench.session, bench.config, 2, NOBODY)
    with pytest.raises(error, match=reason):
        allow(bench.session, bench.config, Wish("192.0.2.7", "web:80", 60), NOBODY)
    assert bench.temporary.read_text() == before
    assert bench.session.store.policy.stamp() == policy


def test_a_policy_with_a_mistake_changes_nothing(bench: Bench) -> None:
    bench.write(bench.config, "[[alow]]\n")
    refused(bench, PolicyError, r"config\.toml:1: unknown key")


def test_before_the_first_apply_nothing_is_opened(played: PlayedSession, tmp_path: Path) -> None:
    refused(Bench(played, tmp_path), Failed, "no policy is in force yet")


def test_a_lockdown_is_not_ended(bench: Bench) -> None:
    bench.session.store.policy.set_lockdown(True)
    refused(bench, Failed, "locked down until the next apply")


def test_what_nobody_has_confirmed_yet_is_not_kept_by_it(bench: Bench) -> None:
    bench.write(bench.config, OTHER + "# new\n")
    bench.apply(Terms(confirm_seconds=60))
    refused(bench, Failed, "an apply waits for its confirmation: .* 2027-01-15 08:01 UTC")


def test_other_changes_are_put_in_force_only_where_somebody_is_asked(
    bench: Bench, notices: list[str]
) -> None:
    bench.write(bench.config, OTHER + rule("192.0.2.8", 60))
    refused(bench, Failed, "would be put in force too: see dockerfw plan, then dockerfw apply")
    asked: list[PolicyPlan] = []
    end(bench.session, bench.config, 2, Hands("alice", asked.append, ask))
    assert notices == [
        "note: the files of the policy differ from what is in force: all of that comes with it"
    ]
    assert len(asked) == 1
    assert bench.in_force() == ["192.0.2.9", "192.0.2.8", "192.0.2.3"]


def test_what_others_write_meanwhile_is_not_written_over(bench: Bench) -> None:
    theirs = f"# mine\n{TEMPORARY}"

    def agree(_planned: PolicyPlan) -> None:
        bench.write(bench.temporary, theirs)

    with pytest.raises(Failed, match="the files were changed meanwhile: nothing was written"):
        end(bench.session, bench.config, 2, Hands("alice", agree, ask))
    assert bench.temporary.read_text() == theirs
    assert "192.0.2.2" in bench.in_force()


def test_a_lockdown_that_comes_meanwhile_is_not_ended(bench: Bench) -> None:
    def agree(_planned: PolicyPlan) -> None:
        bench.session.store.policy.set_lockdown(True)

    with pytest.raises(Failed, match="locked down meanwhile"):
        end(bench.session, bench.config, 2, Hands("alice", agree, ask))
    assert bench.session.store.policy.locked_down()
    assert bench.temporary.read_text() == TEMPORARY


def test_what_is_put_in_force_meanwhile_stays_in_force(bench: Bench, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.toml"
    bench.write(theirs, "# theirs\n")

    def agree(_planned: PolicyPlan) -> None:
        apply(bench.session, theirs, Terms(), lambda _: None, ask)

    with pytest.raises(Failed, match="what is in force was changed meanwhile"):
        end(bench.session, bench.config, 2, Hands("alice", agree, ask))
    assert bench.temporary.read_text() == TEMPORARY
    applied = bench.session.store.policy.applied()
    assert applied is not None
    assert applied.config == str(theirs)
