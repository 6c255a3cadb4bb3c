"""TOML text -> `Policy`, or every finding at once, each with its file and line.

Takes the documents of a policy and a function that reads list files; gives a `Policy` or raises
`PolicyError`. Never opens a file itself, never asks Docker: whether a container of that name runs
is for later. Each kind of table has a module of its own: `settings`, `named_sources`, `statements`
and `expectations`; and so has each kind of word in them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain

from dockerfw.errors import PolicyError
from dockerfw.model.policy import Expect, Policy
from dockerfw.policy.document import Document, Findings, Node, key_list, load
from dockerfw.policy.named_sources import NamedSources
from dockerfw.policy.settings import SECTIONS, read_sections, read_settings
from dockerfw.policy.sources import ReadFile
from dockerfw.policy.statements import LISTS, read_allow, read_deny, statements
from dockerfw.policy.words import did_you_mean, shown

IN_CONF_D = ("sources", *LISTS)
"""The tables that a file of ``conf.d`` may hold; the others stand in the main file alone."""

_MEANT = {
    "reject": ': write [[deny]], and `on_deny = "reject"` in [firewall], which answers all denied',
    **dict.fromkeys(("drop", "block", "ban"), ": did you mean [[deny]]?"),
    **dict.fromkeys(("accept", "permit", "pass"), ": did you mean [[allow]]?"),
}
"""Tables as others call them."""
_KEYS = frozenset({*SECTIONS, *IN_CONF_D, *chain(*SECTIONS.values(), *LISTS.values())})


def parse(
    documents: Sequence[Document], read_file: ReadFile, hidden: Collection[str] = ()
) -> Policy:
    """Return the policy that the documents declare together; the first is the main file.

    ``read_file(document name, path)`` gives the bytes of a ``file:`` source or raises OSError.
    ``hidden`` are the names of files whose contents no finding shows; it may grow as they are read.
    Raises `PolicyError` with all findings, in the order of the files and their lines.
    """
    findings = Findings([document.name for document in documents], _KEYS, hidden)
    tables = [table for document in documents if (table := load(document, findings))]
    for table in tables:
        _check_top_level(table, main=table.file == documents[0].name)
    sources = NamedSources(tables, read_file, findings, complete=len(tables) == len(documents))
    policy = _read_policy(tables, sources)
    if findings.errors:
        raise PolicyError(findings.in_order(findings.errors))
    return replace(policy, warnings=findings.in_order(findings.warnings))


def _read_policy(tables: Sequence[Node], sources: NamedSources) -> Policy:
    # Findings about the same line are shown in the order of these steps.
    sections = read_sections(tables)
    written = sections["defaults"].get("baseline")
    baseline = Policy().baseline if written is None else sources.read(written, "allow")
    return replace(
        read_settings(sections),
        baseline=baseline,
        allows=tuple(read_allow(node, sources) for node in statements(tables, "allow")),
        denies=tuple(read_deny(node, sources) for node in statements(tables, "deny")),
        expects=_expects(tables),
        named=sources.lists(),
    )


def _expects(tables: Sequence[Node]) -> tuple[Expect, ...]:
    nodes = tuple(statements(tables, "expect"))
    if not nodes:
        return ()
    # With what reads addresses and ports of packets: a twentieth of `check` without any.
    from dockerfw.policy.expectations import read_expect  # noqa: PLC0415

    return tuple(map(read_expect, nodes))


def _check_top_level(table: Node, *, main: bool) -> None:
    known = (*SECTIONS, *IN_CONF_D)
    for key, node in table.items():
        if key not in known:
            near = _MEANT.get(key.lower()) or _home_of(key) or did_you_mean(key, known)
            node.error(f"unknown key {shown(key)}{near}")
        elif not main and key not in IN_CONF_D:
            node.error(f"[{key}] belongs in the main file: conf.d may hold {key_list(IN_CONF_D)}")
        elif key in LISTS and not node.is_list_of_tables:
            node.error(f"`{key}` is a list of tables: write [[{key}]]")
        elif key not in LISTS and not isinstance(node.value, dict):
            node.error(f"`{key}` is a table: write [{key}]")


def _home_of(key: str) -> str:
    """Return the hint for a key that stands outside of its section."""
    for section, keys in SECTIONS.items():
        if key in keys:
            return f": it belongs in [{section}]"
    return ""
