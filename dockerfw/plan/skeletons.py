"""The chains on their way from the live to the wanted ones.

Pure. *Union*: the live chains with the wanted buckets beside their own, deny before allow: what
either allows passes and what either denies is dropped. Then the baseline ``bridge`` where it comes,
then the wanted chains and jumps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dockerfw.model.net import Family
from dockerfw.plan.state import Identity, LiveRule, TablesState
from dockerfw.plan.steps import ReplaceChain
from dockerfw.rules.meaning import checks_sources, ends_head
from dockerfw.rules.names import INSIDE, MAIN, PRE
from dockerfw.rules.rule import Chain, Rule
from dockerfw.rules.ruleset import Ruleset

Rules: TypeAlias = tuple[Rule | LiveRule, ...]


@dataclass(frozen=True, slots=True)
class Skeletons:
    """The wanted chains of one family, and how a rule is recognised in the live ones."""

    wanted: Ruleset
    family: Family
    identity: Identity

    def chains(self) -> list[Chain]:
        return [c for c in self.wanted.chains if c.family == self.family]

    def all_stand(self, state: TablesState) -> bool:
        """Return True if every wanted chain is there, whatever stands in it."""
        return all(state.chain(c.table, c.name) is not None for c in self.chains())

    def union(self, state: TablesState) -> dict[str, Rules]:
        """Return the chains that have buckets, with the new ones beside what stands."""
        united: dict[str, Rules] = {}
        for chain in self.chains():
            if chain.deny_at is None or chain.allow_at is None:
                continue
            live = state.rules(chain.table, chain.name)
            fresh = self._fresh(chain, live)
            denies = [r for r in fresh if r.role == "deny"]
            allows = [r for r in fresh if r.role == "allow"]
            united[chain.name] = self._inserted(chain, live, denies, allows)
        return united

    def changed(self, state: TablesState, united: Mapping[str, Rules]) -> list[ReplaceChain]:
        """Return those of the chains that are longer than what stands."""
        return [
            ReplaceChain(c.table, c.name, united[c.name])
            for c in self.chains()
            if c.name in united and len(united[c.name]) > len(state.rules(c.table, c.name))
        ]

    def with_baseline(self, united: Mapping[str, Rules]) -> list[ReplaceChain]:
        """Return the united chains with the wanted baseline, where they do not have it yet."""
        writes = []
        for chain in self.chains():
            live = united.get(chain.name)
            if live is None:
                continue
            baseline = [r for r in self._fresh(chain, live) if r.role == "baseline"]
            if baseline:
                rules = self._inserted(chain, live, [], baseline)
                writes.append(ReplaceChain(chain.table, chain.name, rules))
        return writes

    def same(self, live: Iterable[LiveRule], chain: Chain) -> bool:
        """Return True if these rules are those of the chain, in the same order."""
        return [r.identity for r in live] == [self._identity(r) for r in chain.rules]

    def _fresh(self, chain: Chain, live: Iterable[Rule | LiveRule]) -> list[Rule]:
        """The rules of a wanted chain that are not among these."""
        known = {self._identity(rule) for rule in live}
        return [r for r in chain.rules if self._identity(r) not in known]

    def _inserted(
        self,
        chain: Chain,
        live: Iterable[Rule | LiveRule],
        denies: list[Rule],
        allows: list[Rule],
    ) -> Rules:
        """Denies after the head of the chain, allows before its end: see ``rules/chains.py``."""
        rules = tuple(live)
        # By its identity, which the rule keeps when a hand has edited it: behind the end of the
        # chain new denies would do nothing. By its meaning, for another version's differs.
        heads = {self._identity(rule) for rule in chain.rules if ends_head(rule)}
        ends = [
            place
            for place, rule in enumerate(rules)
            if self._identity(rule) in heads or ends_head(_meaning(rule))
        ]
        nowhere = len(rules) if chain.name in (PRE, MAIN) else 0
        deny_at = ends[-1] + 1 if ends else nowhere
        allow_at = len(rules)
        if chain.name in (MAIN, INSIDE) and rules:
            allow_at = max(deny_at, len(rules) - 1)
        elif chain.name == PRE:
            checks = [p for p, rule in enumerate(rules) if checks_sources(_meaning(rule))]
            allow_at = max(deny_at, *checks[:1] or [allow_at])
        return (*rules[:deny_at], *denies, *rules[deny_at:allow_at], *allows, *rules[allow_at:])

    def _identity(self, rule: Rule | LiveRule) -> str | None:
        if isinstance(rule, LiveRule):
            return rule.identity
        return self.identity.rule(rule, self.family)


def _meaning(rule: Rule | LiveRule) -> Rule | None:
    return rule.meaning if isinstance(rule, LiveRule) else rule
