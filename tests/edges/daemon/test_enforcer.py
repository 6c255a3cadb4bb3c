"""What is written is never more open than the policy, whatever comes in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from dockerfw.daemon.repairs import MANY_REPAIRS
from dockerfw.dns.resolver import Moved
from dockerfw.docker.reports import Changed
from dockerfw.kernel.netlink import Noticed
from dockerfw.model.host import Bridge, Cgroup
from dockerfw.model.policy import Needs
from dockerfw.operations import policy_in_force
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ledger import LINGER
from dockerfw.rules.ruleset import Ruleset
from tests.edges.daemon.bench import CLOSED, FRONT, LABELLED, OWN, WEB, Bench, here, on_front
from tests.edges.daemon.played_host import FACTS


def test_a_look_that_began_before_an_apply_is_no_news_after_it(bench: Bench) -> None:
    web = here(on_front("web", 2))
    bench.follow(WEB, web)
    bench.pass_time(31)
    bench.worker.finish()  # it was seen as it stood before ...
    bench.apply(CLOSED)  # ... who has written the kernel by then
    bench.turn()
    bench.answer(web)
    assert not bench.kernel.written, "what is written goes by a look at the rules of before"
    bench.settle(web)
    assert bench.kernel.written


@pytest.mark.parametrize("locked", [False, True])
def test_without_docker_rules_are_put_right_though_it_never_answered(
    bench: Bench, *, locked: bool
) -> None:
    bench.apply(WEB)
    bench.store.last_seen.remember(here())
    if locked:
        bench.store.policy.set_lockdown(True)
    bench.kernel.stand(_ruleset(bench))
    bench.begin()
    bench.lose()
    bench.finish()
    bench.finish()
    assert not bench.kernel.written, "what stands is as it should be"
    bench.lose_rules("filter")
    bench.lose_seal()
    bench.changed_rules("nft")
    for _ in range(4):
        bench.finish()
        bench.pass_time(0.2)
    assert bench.kernel.live.seal is not None, bench.log.lines
    assert bench.kernel.live.tables[4].tables["filter"]["DOCKERFW"].rules


def _ruleset(bench: Bench) -> Ruleset:
    policy, _, _ = policy_in_force.read_policy_in_force(bench.store)
    return compile_ruleset(policy, here(), FACTS)


def test_a_lockdown_without_docker_is_not_undone_at_the_next_flush(bench: Bench) -> None:
    web = here(on_front("web", 2))
    bench.follow(WEB, web)
    assert bench.sealed.inside, "the baseline lets bridges in"
    bench.lose()
    bench.store.policy.set_lockdown(True)
    bench.kernel.stand(compile_ruleset(policy_in_force.CLOSED, web, FACTS))
    bench.turn()
    bench.lose_seal()
    bench.changed_rules("nft")
    for _ in range(4):
        bench.finish()
        bench.pass_time(0.2)
    closed = compile_ruleset(policy_in_force.CLOSED, web, FACTS)
    assert bench.kernel.live.seal == bench.kernel.identity.seal(closed.seal)


def test_a_seal_whose_cgroup_has_gone_with_docker_comes_back_without_it(bench: Bench) -> None:
    proxy = replace(FACTS.proxy, cgroup=Cgroup("dockerd.slice", 1, 77))
    bench.kernel.host = replace(FACTS, proxy=proxy)
    bench.follow(WEB, here())
    assert bench.sealed.proxies is not None
    bench.lose()
    bench.finish()
    bench.kernel.host = FACTS
    bench.lose_seal()
    bench.pass_time(31)
    bench.finish()
    assert bench.kernel.written[-1].ruleset.seal.proxies is None


def test_the_bridge_of_a_network_that_has_gone_is_nobody_elses(bench: Bench) -> None:
    """It comes back under that name before the host was looked at: closed from the first packet."""
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    both = here(networks=(FRONT, OWN))
    bench.follow(WEB, both)
    bench.report(Changed(here(networks=(FRONT,))))
    assert "lan0" not in bench.sealed.foreign_bridges


def test_a_bridge_of_somebody_elses_that_docker_is_given_is_sealed_for_good(bench: Bench) -> None:
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0")))
    bench.follow(WEB, here(networks=(FRONT,)))
    bench.pass_time(31)
    bench.settle(here(networks=(FRONT,)))
    assert "lan0" in bench.sealed.foreign_bridges
    bench.report(Changed(here(networks=(FRONT, OWN))))
    assert "lan0" not in bench.sealed.foreign_bridges
    bench.report(Changed(here(networks=(FRONT,))))
    bench.settle(here(networks=(FRONT,)))
    assert "lan0" not in bench.sealed.foreign_bridges, "its grace begins anew"


def test_without_docker_no_bridge_is_somebody_elses_but_by_the_record(bench: Bench) -> None:
    bench.kernel.host = replace(FACTS, bridges=(*FACTS.bridges, Bridge("lan0"), Bridge("virbr0")))
    known = replace(bench.kernel.host, foreign_bridges=frozenset({"virbr0"}))
    bench.store.last_seen.remember_host(known)
    bench.apply(WEB)
    bench.begin()
    bench.lose()
    bench.finish()
    bench.finish()
    assert bench.kernel.written[-1].ruleset.seal.foreign_bridges == {"virbr0"}


def test_until_labels_are_known_nobody_is_let_in_whom_they_would_keep_out(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2)))
    bench.apply(LABELLED)
    secret = on_front("secret", 3)
    bench.report(Changed(here(on_front("web", 2), secret)))
    assert bench.docker.needs == Needs(labels=True)
    assert not any("172.18.0.3" in line for line in bench.kernel.lines), bench.kernel.lines
    labelled = here(on_front("web", 2), on_front("secret", 3, tier="secret"))
    bench.report(Changed(labelled, knows=Needs(labels=True)))
    bench.settle(labelled, labels=True)
    assert bench.keeps_out("172.18.0.3")


def test_until_labels_are_known_nothing_whole_is_written(bench: Bench) -> None:
    secret = here(on_front("secret", 3))
    bench.follow(WEB, secret)
    bench.apply(LABELLED)
    bench.turn()
    bench.names.moved = Moved({"a.example": ()}, ())
    bench.daemon.names_moved()
    bench.turn()
    bench.report(Changed(here(on_front("secret", 3), networks=(FRONT, OWN))))
    assert not bench.kernel.written


def test_a_rule_ends_though_the_clock_was_set_forward(bench: Bench) -> None:
    end = bench.clock.time() + 3600
    until = datetime.fromtimestamp(end, timezone.utc).isoformat(timespec="seconds")
    web = here(on_front("web", 2))
    bench.follow(f"{WEB}until = {until}\n", web)
    assert any(s.count for name, s in bench.kernel.live.sets.items() if "-u" in name)
    bench.clock.set = 3601
    bench.pass_time(31)
    bench.settle(web)
    assert not any(s.count for name, s in bench.kernel.live.sets.items() if "-u" in name)


def test_a_seal_that_is_taken_away_again_and_again_comes_back_each_time(bench: Bench) -> None:
    bench.follow(WEB, here())
    for _ in range(MANY_REPAIRS + 5):
        bench.lose_seal()
        bench.changed_rules("nft")
        for _ in range(2):
            bench.finish()
            bench.pass_time(0.2)
        assert bench.kernel.live.seal is not None


def test_an_interface_that_goes_as_docker_does_counts_as_gone(bench: Bench) -> None:
    """It is not among those that are counted once Docker is lost."""
    bench.follow(WEB, here(on_front("web", 2)))
    bench.lose()
    bench.changed_links()
    assert any(line.startswith("del") and "172.18.0.2" in line for line in bench.kernel.lines)


def test_a_seal_of_before_docker_answers_guards_what_its_writer_knew(bench: Bench) -> None:
    """At the start without Docker fewer ports may be known than the seal guards."""
    bench.apply(WEB)
    policy, _, _ = policy_in_force.read_policy_in_force(bench.store)
    bench.kernel.stand(compile_ruleset(policy, here(on_front("web", 2, 8080)), FACTS))
    bench.begin()
    bench.lose()
    bench.finish()
    bench.finish()
    assert not bench.kernel.written


def test_the_seal_lets_go_of_a_port_before_the_sets_do(bench: Bench) -> None:
    bench.follow(WEB, here(on_front("web", 2, 8080)))
    bench.report(Changed(here()))
    bench.pass_time(1)
    bench.kernel.tools.clear()
    bench.pass_time(LINGER)
    assert bench.kernel.tools == ["nft", "ipset"]


def test_notices_without_a_name_may_be_about_the_seal(bench: Bench) -> None:
    """Only where iptables alone has written is the seal not read."""
    bench.follow(WEB, here())
    bench.lose_seal()
    bench.changed_rules("iptables-restor")
    bench.finish()
    assert bench.kernel.live.seal is None, "the seal was read, though iptables cannot have it"
    bench.notice(Noticed(rules=True))
    bench.changed_rules("iptables-restor")
    bench.finish()
    assert bench.kernel.live.seal is not None
