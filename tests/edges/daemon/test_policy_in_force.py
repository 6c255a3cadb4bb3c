"""What a killed apply, or a broken record, leaves on the disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from dockerfw.dns.resolver import Moved
from dockerfw.operations.boot import install_before_docker
from dockerfw.operations.reconcile import Reconciler
from dockerfw.operations.session import Session
from tests.edges.daemon.bench import CLOSED, WEB, Bench, here


@dataclass(frozen=True)
class PlayedSession(Session):
    played: Reconciler = field(kw_only=True)

    @property
    def reconciler(self) -> Reconciler:
        return self.played


def test_a_policy_whose_record_is_broken_still_holds(bench: Bench) -> None:
    bench.apply(WEB)
    (bench.store.folder / "applied.json").write_text("{")
    bench.begin()
    assert bench.daemon.policy.policy is not None
    assert bench.kernel.live.seal is None
    session = PlayedSession(
        bench.kernel, bench.store, bench.clock, None, lambda _: None, played=bench.reconciler
    )
    install_before_docker(session)
    assert bench.kernel.live.seal is not None


def test_an_apply_that_was_killed_before_its_record_can_be_applied_over(bench: Bench) -> None:
    bench.apply(WEB)
    (bench.store.folder / "applied.json").unlink()
    bench.store.confirm.begin(bench.clock.time() + 60)
    bench.apply(CLOSED)
    assert bench.store.confirm.restore_previous() is None
    text = bench.store.policy.load()
    assert text is not None
    assert text.documents[0].text == WEB.encode()


def test_a_name_that_fails_is_in_status_until_it_can_be_looked_up(bench: Bench) -> None:
    bench.follow('[[allow]]\nto = "web"\nports = [80]\nfrom = ["host:a.example"]\n', here())
    wrong = "host:a.example cannot be looked up (no such name)"
    for moved, notes in ((Moved({}, (wrong,), (wrong,)), (wrong,)), (Moved({}, ("again",)), ())):
        bench.names.moved = moved
        bench.daemon.names_moved()
        bench.turn()
        recorded = bench.store.daemon.read()
        assert recorded is not None
        assert recorded.notes == notes
