"""What a packet meets twice says the same as once.

Docker and dockerfw may each put in a jump to DOCKER-USER (Docker starts while the rules are
mended), a rule of the admin's may lead there once more, and a table that is restored onto itself
has every jump twice.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.rules.names import INPUT, MAIN
from dockerfw.rules.rule import Chain, Goto, Return, Rule, Target
from dockerfw.rules.ruleset import Ruleset
from tests.build import allow, container, inventory, network, policy
from tests.questions import as_address, facts_for
from tests.situations import Situation, network_edges, passes, ways
from tests.strategies import fitting, profile


def _again(name: str) -> str:
    return f"{name}-2"


def _instead(rule: Rule, target: Target) -> Rule:
    return replace(rule, target=target)


def met_twice(ruleset: Ruleset, hook: str) -> Ruleset:
    """What passes that chain goes through it once more before it has passed."""
    once: list[Chain] = []
    again: list[Chain] = []
    on = Goto(_again(hook))
    for chain in ruleset.chains:
        if chain.table != "filter":
            once.append(chain)
            continue
        passed = [_instead(r, on) if r.target == Return() else r for r in chain.rules]
        once.append(replace(chain, rules=(*passed, Rule((), on))))
        led = [
            _instead(r, Goto(_again(r.target.chain))) if isinstance(r.target, Goto) else r
            for r in chain.rules
        ]
        again.append(replace(chain, name=_again(chain.name), rules=tuple(led)))
    return replace(ruleset, chains=(*once, *again))


def assert_twice_is_as_once(rules: Policy, running: Inventory, random: Random) -> None:
    facts = facts_for(running)
    situation = Situation(rules, running, facts)
    once = situation.ruleset()
    twice = {hook: met_twice(once, chain) for hook, chain in (("forward", MAIN), ("input", INPUT))}
    for question in (*situation.questions(random, 8), *situation.led_on(random, 4)):
        family = question.family
        for number in sorted(situation.edges(family) | network_edges(once, family)):
            source = as_address(number, family)
            for way in ways(question, facts, running):
                wanted, _ = passes(once, way, source, facts, running)
                passed, path = passes(twice[way.hook], way, source, facts, running)
                assert passed == wanted, f"from {source} {question}\n{way}\n" + "\n".join(
                    map(str, path)
                )


@profile(0.5)
@given(fitting(), st.integers(0, 2**32))
def test_a_packet_that_meets_our_rules_twice_fares_as_if_it_met_them_once(
    pair: tuple[Policy, Inventory], seed: int
) -> None:
    assert_twice_is_as_once(*pair, Random(seed))


@pytest.mark.parametrize("baseline", ["bridge", ()])
def test_what_a_host_port_opens_passes_twice(baseline: str | tuple[()]) -> None:
    rules = policy(allow("203.0.113.0/24", published=5432), baseline=baseline)
    front = network("front", "172.18.0.0/24")
    db = container("db", "front 172.18.0.3", published="5432:5432")
    assert_twice_is_as_once(rules, inventory(front, db), Random(0))
