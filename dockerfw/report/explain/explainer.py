"""One question, answered: reads it, walks its packets on every path, adds the remarks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dockerfw.errors import UsageError
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import Policy
from dockerfw.report.bypasses import bypasses
from dockerfw.report.explain.explanation import Explanation, Row
from dockerfw.report.explain.paths import HOST_ELSEWHERE, Paths
from dockerfw.report.explain.reader import ParsedSource, ParsedTarget, Reader
from dockerfw.report.explain.remarks import no_path, remarks
from dockerfw.report.explain.remedy import remedy


def explain(
    policy: Policy,
    inventory: Inventory,
    facts: HostFacts,
    source: str,
    target: str,
    local_addresses: frozenset[Address] = frozenset(),
    foreign: tuple[ForeignTable, ...] = (),
) -> Explanation:
    """Return the verdict on every path from ``source`` to ``target``.

    ``local_addresses`` are this host's own, besides those in ``facts``; ``foreign`` the rules of
    others. Raises `UsageError` when
    source or target cannot be read, `UnknownContainer` when no container of that name runs.
    """
    explainer = Explainer(policy, inventory, facts, local_addresses, foreign)
    return explainer.explain(source, target)


class Explainer:
    """Answers questions about one policy; what it compiles for one serves the next."""

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts,
        local_addresses: frozenset[Address] = frozenset(),
        foreign: tuple[ForeignTable, ...] = (),
        *,
        in_force: bool = True,
    ) -> None:
        self.policy = policy
        self.inventory = inventory
        self.facts = facts
        local = local_addresses | facts.addresses
        self.paths = Paths(policy, inventory, facts, local, foreign, in_force=in_force)
        self.reader = Reader(inventory, local, self.paths.reasons.ways, dict(policy.named))

    def explain(self, source: str, target: str) -> Explanation:
        """Return the verdict on every path; raises as the function `explain` does."""
        parsed_source = self.reader.source(source)
        parsed_target = self.reader.target(target)
        rows = dict.fromkeys(self._rows(parsed_source, parsed_target))
        if not rows and not parsed_source.senders:
            raise UsageError(
                f'source "{source}" has no address on a Docker bridge of this host: write the '
                "address that its packets come from"
            )
        if all(row.path.startswith(HOST_ELSEWHERE) for row in rows):
            rows = dict.fromkeys((*no_path(parsed_source, parsed_target, self.facts), *rows))
        return Explanation(
            source,
            target,
            tuple(rows),
            self.policy.mode == "observe",
            (
                *remarks(parsed_target, self.inventory),
                *bypasses(self.paths.reasons.foreign, parsed_target.protocol),
            ),
            remedy(source, parsed_source, parsed_target, rows, self.inventory),
        )

    def _rows(self, source: ParsedSource, target: ParsedTarget) -> Iterator[Row]:
        """Yield the rows of all senders; those of a list are told apart where they differ."""
        if not source.several:
            yield from self.paths.rows(source, target)
            return
        alone = [
            (sender, list(self.paths.rows(ParsedSource((sender,)), target)))
            for sender in source.senders
        ]
        verdicts: dict[tuple[str, int], set[bool]] = {}
        for row in (row for _, rows in alone for row in rows):
            verdicts.setdefault((row.path, row.family), set()).add(row.allowed)
        for sender, rows in alone:
            for row in rows:
                apart = len(verdicts[row.path, row.family]) > 1
                yield replace(row, path=f"{row.path}, from {sender.address}") if apart else row
        yield from self.paths.rows(ParsedSource(nameless=source.nameless), target)
