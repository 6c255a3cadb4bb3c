"""Back to the policy before, and further back; the files stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dockerfw.errors import Failed
from dockerfw.operations.apply import Act, Terms, apply
from dockerfw.operations.go_back import go_back, read_history, the_one_before
from dockerfw.operations.plan import PolicyPlan, plan_from_nothing
from dockerfw.operations.session import Session
from dockerfw.policy.files import PolicyText
from dockerfw.report import history
from tests import build
from tests.unit.operations.conftest import PlayedSession

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16"),
    build.container("web", "front 172.18.0.2", published="8080:80"),
)


def ask(session: Session, text: PolicyText) -> Callable[[], PolicyPlan]:
    return lambda: plan_from_nothing(session, text, SHOP)


class Bench:
    def __init__(self, session: PlayedSession, folder: Path) -> None:
        self.session = session
        self.config = folder / "config.toml"

    def apply(self, text: str, terms: Terms | None = None) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)
        apply(self.session, self.config, terms or Terms(), lambda _: None, ask, None, Act("bob"))

    def back(self) -> None:
        go_back(
            self.session, the_one_before(self.session), Terms(), lambda _: None, "alice", ask=ask
        )

    def in_force(self) -> str:
        text = self.session.store.policy.load()
        assert text is not None
        return text.documents[0].text.decode()


@pytest.fixture
def bench(played: PlayedSession, tmp_path: Path) -> Bench:
    return Bench(played, tmp_path)


def test_twice_is_two_policies_back_and_no_file_is_written(bench: Bench) -> None:
    for text in ("# one\n", "# two\n", "# three\n"):
        bench.apply(text)
    bench.back()
    assert bench.in_force() == "# two\n"
    bench.back()
    assert bench.in_force() == "# one\n"
    assert bench.config.read_text() == "# three\n"
    with pytest.raises(Failed, match="no policy is kept from before"):
        bench.back()
    told = [(e.number, e.user, e.what) for e in bench.session.store.history.entries()]
    assert told[2:] == [(3, "bob", "apply"), (4, "alice", "rollback to 2"),
                        (5, "alice", "rollback to 1")]  # fmt: skip


def test_an_apply_after_it_goes_back_to_there(bench: Bench) -> None:
    for text in ("# one\n", "# two\n"):
        bench.apply(text)
    bench.back()
    bench.apply("# three\n")
    bench.back()
    assert bench.in_force() == "# one\n"


def test_lists_are_as_they_are_now(bench: Bench, tmp_path: Path, notices: list[str]) -> None:
    block = tmp_path / "block.netset"
    block.write_text("192.0.2.1\n")
    block.chmod(0o600)
    bench.apply('[[deny]]\nfrom = ["file:block.netset"]\n')
    bench.apply("# two\n")
    block.write_text("192.0.2.2\n")
    bench.back()
    text = bench.session.store.policy.load()
    assert text is not None
    assert list(text.files.values()) == [b"192.0.2.2\n"]
    block.unlink()
    bench.apply("# three\n")
    bench.back()
    assert "block.netset" in notices[0]
    assert "what it held before still counts" in notices[0]


def test_what_nobody_confirmed_is_nothing_to_go_back_to(bench: Bench) -> None:
    bench.apply("# one\n")
    bench.apply("# two\n")
    bench.apply("# three\n", Terms(confirm_seconds=10))
    with pytest.raises(Failed, match="an apply waits for its confirmation"):
        bench.back()
    bench.session.store.confirm.restore_previous()
    bench.session.store.confirm.end(kept=False)
    assert read_history(bench.session).in_force == 2
    bench.apply("# four\n")
    bench.back()
    assert bench.in_force() == "# two\n"


def test_before_the_first_apply_there_is_nothing_to_go_back_to(bench: Bench) -> None:
    with pytest.raises(Failed, match="no policy is in force yet"):
        bench.back()
    bench.apply("# one\n")
    with pytest.raises(Failed, match="no policy is kept from before"):
        bench.back()


def test_another_apply_meanwhile_is_not_taken_back(bench: Bench) -> None:
    bench.apply("# one\n")
    bench.apply("# two\n")
    to = the_one_before(bench.session)

    def slow(session: Session, text: PolicyText) -> Callable[[], PolicyPlan]:
        if bench.in_force() == "# two\n":
            bench.apply("# three\n")
        return ask(session, text)

    with pytest.raises(Failed, match="another policy was put in force meanwhile"):
        go_back(bench.session, to, Terms(), lambda _: None, "alice", ask=slow)
    assert bench.in_force() == "# three\n"


def test_the_history_says_which_is_in_force_the_newest_first(bench: Bench) -> None:
    for text in ("# one\n", "# two\n"):
        bench.apply(text)
    bench.back()
    kept = read_history(bench.session)
    lines = history.lines(kept.entries, kept.in_force, 80)
    assert lines[0].startswith("* 3 2027-01-15 08:00 UTC  rollback to 1 by alice; opened ")
    assert lines[1].startswith("  2 2027-01-15 08:00 UTC  apply by bob")
    assert lines[-1].startswith("* is in force")
    told = history.to_json(kept.entries, kept.in_force)
    assert [(one["number"], one["in_force"]) for one in told] == [(3, True), (2, False), (1, False)]


def test_without_any_the_history_says_so() -> None:
    assert history.lines([], 0, 80) == ["No policy that was put in force is kept yet."]
