"""Where new rules come in chains that stand, when somebody has edited these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from dockerfw.kernel.iptables.parse import parse_rule
from dockerfw.kernel.netfilter import Digests
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Allow, Deny
from dockerfw.plan.skeletons import Rules, Skeletons
from dockerfw.plan.state import ChainState, LiveRule, TablesState
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Ruleset
from tests.build import allow, deny, policy
from tests.standing import chain_texts

ALLOW = allow("any", to="web", ports=80)
HEADS = {"DOCKERFW": "-g DOCKERFW-IN", "DOCKERFW-PRE": "-g DOCKERFW-PRE-IN"}


def compiled(*rules: Allow | Deny) -> Ruleset:
    return compile_ruleset(policy(*rules), Inventory(), HostFacts())


def standing(ruleset: Ruleset, edits: Iterable[tuple[str, str]] = ()) -> TablesState:
    """Return the chains of IPv4 as they are read back, with that text replaced in all rules."""

    def read(text: str) -> LiveRule:
        for old, new in edits:
            text = text.replace(old, new)
        return parse_rule(text, ours=True)

    tables: dict[str, dict[str, ChainState]] = {}
    for chain in ruleset.chains:
        if chain.family == 4:
            rules = tuple(map(read, chain_texts(chain)))
            tables.setdefault(chain.table, {})[chain.name] = ChainState("-", rules)
    return TablesState(4, tables)


def new_denies(rules: Rules) -> list[int]:
    """Return their places in the chain."""
    return [i for i, r in enumerate(rules) if not isinstance(r, LiveRule) and r.role == "deny"]


def wanted_denies(ruleset: Ruleset, name: str) -> list[int]:
    """Return their places in the wanted chain."""
    chain = next(c for c in ruleset.chains if (c.family, c.name) == (4, name))
    places = [i for i, rule in enumerate(chain.rules) if rule.role == "deny"]
    assert places
    return places


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("target", ["-g DOCKERFW-OK", "-j DOCKERFW-IN", "-j LOG"])
def test_a_new_deny_comes_after_the_head_also_where_a_hand_has_edited_that(
    name: str, target: str
) -> None:
    wanted = compiled(deny("iface:eth9"), ALLOW)
    live = standing(compiled(deny("iface:eth8"), ALLOW), [(HEADS[name], target)])

    united = Skeletons(wanted, 4, Digests()).union(live)[name]

    assert new_denies(united) == wanted_denies(wanted, name)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_of_another_version_is_known_by_what_it_does(name: str) -> None:
    wanted = compiled(deny("iface:eth9"), ALLOW)
    live = standing(compiled(deny("iface:eth8"), ALLOW))
    tables = {
        table: {
            chain: ChainState("-", tuple(replace(r, identity="00000000") for r in held.rules))
            for chain, held in chains.items()
        }
        for table, chains in live.tables.items()
    }

    united = Skeletons(wanted, 4, Digests()).union(TablesState(4, tables))[name]

    assert new_denies(united) == wanted_denies(wanted, name)
