"""``conf.d/temporary.toml``: rules that ``dockerfw allow`` writes there and takes out again. Pure.

Takes the document as it is, gives its rules, or the document with one more or some fewer of them.
All other lines stay as they are, whoever wrote them: the lines of a rule are those from its
``[[allow]]`` to its last value. What the words of a rule mean is for ``policy/parser.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dockerfw.errors import PolicyError
from dockerfw.policy.document import LISTS, Document, Findings, Node, load

FILE = "temporary.toml"
_HEAD = """\
# Rules of `dockerfw allow`. Each ends by itself, and is taken out of here the next time.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``[[allow]]``: its number in this file (from 1), and its first and last line (from 1).

    ``note`` is the comment beside ``[[allow]]``.
    """

    number: int
    line: int
    last: int
    note: str


def rules(document: Document) -> tuple[Rule, ...]:
    """Return the rules in the order of the file.

    Raises `PolicyError` where it is no TOML, or where a rule is not written as ``[[allow]]``.
    """
    node = _load(document)
    lines = _lines(document)
    tables = node.get("allow")
    if tables is None:
        return ()
    begins = sorted(_begins(node))
    found = []
    for number, table in enumerate(tables.elements(), 1):
        line = table.position.line
        head = lines[line - 1]
        if not head.lstrip().startswith("[["):
            wrong = (
                "dockerfw allow needs each rule in here as [[allow]] with lines of its own: write "
                "it so, or move it to another file of conf.d"
            )
            raise PolicyError([f"{document.name}:{line}: {wrong}"])
        note = head.partition("]]")[2].partition("#")[2].strip()
        following = next((begin for begin in begins if begin > line), len(lines) + 1)
        last = max(n for n in range(line, following) if not _is_remark(lines[n - 1]))
        found.append(Rule(number, line, last, note))
    return tuple(found)


def with_rule(document: Document, lines: Sequence[str], until: datetime, note: str) -> Document:
    """Return the document with one more rule at its end: these lines, and when it is over.

    ``until`` is in UTC and whole seconds. ``note`` is one line of printable text, which stands
    beside ``[[allow]]``. Raises as `rules` does.
    """
    rules(document)  # whether anything can stand behind what is there
    text = document.text.decode()
    if not text:
        text = _HEAD
    elif not text.endswith("\n"):
        text += "\n"
    end = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    new = "\n".join((f"[[allow]]  # {note}", *lines, f"until = {end}"))
    return Document(document.name, f"{text}\n{new}\n".encode())


def without(document: Document, numbers: Collection[int]) -> Document:
    """Return the document without the rules of these numbers. Raises as `rules` does."""
    lines = _lines(document)
    gone: set[int] = set()
    for rule in rules(document):
        if rule.number in numbers:
            gone.update(range(rule.line, rule.last + 1))
            # `with_rule` puts an empty line before it.
            if rule.line > 1 and not lines[rule.line - 2].strip():
                gone.add(rule.line - 1)
    kept = (line for number, line in enumerate(lines, 1) if number not in gone)
    return Document(document.name, "\n".join(kept).encode())


def _load(document: Document) -> Node:
    findings = Findings([document.name])
    node = load(document, findings)
    if node is None:
        raise PolicyError(findings.in_order(findings.errors))
    return node


def _lines(document: Document) -> list[str]:
    """Return the lines as TOML counts them; one more, empty, where the last one ends."""
    return document.text.decode().split("\n")


def _begins(node: Node) -> Iterator[int]:
    """Yield the line of every table."""
    for key, inside in node.items():
        if key in LISTS:
            yield from (element.position.line for element in inside.elements())
        else:
            yield inside.position.line


def _is_remark(line: str) -> bool:
    """Return True for a line that holds no part of a value: no value ends in such a line."""
    return not line.strip() or line.lstrip().startswith("#")
