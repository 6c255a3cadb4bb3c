"""A table of ours as nft's language has it: sets and chains -> document, and what is read of it.

Pure. Knows nothing of what the rules mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Half:
    """``table`` is family and name; ``sets`` have their types, ``hooks`` hook and numeric priority
    of those chains that are hooked; ``rules`` are those of each chain.
    """

    table: str
    sets: tuple[tuple[str, str], ...]
    hooks: Mapping[str, tuple[str, int]]
    rules: Mapping[str, list[str]]


def document_lines(
    half: Half, elements: Mapping[str, list[str]], digest: Callable[[str], str]
) -> Iterator[str]:
    """Yield the lines that replace the table in one transaction; ``digest`` is a rule's comment."""
    yield from (f"add table {half.table}", f"delete table {half.table}", f"table {half.table} {{")
    for name, kind in half.sets:
        yield f"  set {name} {{"
        yield from (f"    {part}" for part in f"type {kind}".split("; "))
        if own := elements.get(name):
            yield f"    elements = {{ {', '.join(own)} }}"
        yield "  }"
    for chain, rules in half.rules.items():
        yield f"  chain {chain} {{"
        if chain in half.hooks:
            hook, priority = half.hooks[chain]
            yield f"    type filter hook {hook} priority {priority}; policy accept;"
        yield from (f'    {rule} comment "{digest(rule)}"' for rule in rules)
        yield "  }"
    yield "}"


def rules_lines(half: Half, optional: Iterable[str], digest: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines that replace the rules alone: elements of sets stay.

    ``optional`` are chains that may stand and not be wanted. All are emptied before any is taken
    out: they jump to each other.
    """
    yield f"add table {half.table}"
    yield from (f"add set {half.table} {name} {{ type {kind}; }}" for name, kind in half.sets)
    chains = dict.fromkeys((*half.rules, *optional))
    for chain in chains:
        yield f"add chain {half.table} {chain}{_hooked(half, chain)}"
        yield f"flush chain {half.table} {chain}"
    unwanted = (chain for chain in chains if chain not in half.rules)
    yield from (f"delete chain {half.table} {chain}" for chain in unwanted)
    for chain, rules in half.rules.items():
        for rule in rules:
            yield f'add rule {half.table} {chain} {rule} comment "{digest(rule)}"'


def _hooked(half: Half, chain: str) -> str:
    if chain not in half.hooks:
        return ""
    hook, priority = half.hooks[chain]
    return f" {{ type filter hook {hook} priority {priority}; policy accept; }}"


def frame_lines(half: Half, digest: Callable[[str], str]) -> Iterator[str]:
    """Yield what `SealState.frame` has of this table while it stands."""
    yield f"table {half.table}"
    yield from (f"set {name} {kind.replace(';', '')}" for name, kind in sorted(half.sets))
    for chain in sorted(half.rules):
        if chain in half.hooks:
            hook, priority = half.hooks[chain]
            yield f"chain {chain} filter {hook} {priority} accept"
        else:
            yield f"chain {chain} not hooked"
        yield from (f"rule {digest(rule)}" for rule in half.rules[chain])
