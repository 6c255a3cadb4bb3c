"""TOML text -> `Policy`, or every finding at once, each with its file and line.

Takes the documents of a policy and a function that reads list files; gives a `Policy` or raises
`PolicyError`. Never opens a file itself, never asks Docker: whether a container of that name
runs is for later. The meaning of single words is in ``policy/values.py``, that of lists in
``policy/address_list.py``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from graphlib import CycleError, TopologicalSorter
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from dockerfw.errors import PolicyError
from dockerfw.model.policy import (
    DEFAULT_MARK,
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Committer,
    Deny,
    Expect,
    FileSource,
    HostSource,
    Mode,
    OnDeny,
    Origin,
    Policy,
    PortSpec,
    PublishedSpec,
    Selector,
    SelectorSource,
    Source,
)
from dockerfw.policy import values as words
from dockerfw.policy.address_list import decode, parse_list, whole_family, whole_family_hint
from dockerfw.policy.toml_lines import Place, scan
from dockerfw.policy.values import WordError, nearest, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "defaults": ("baseline",),
    "firewall": ("mode", "on_deny", "mark", "committer"),
    "daemon": ("resync", "metrics", "metrics_file"),
}
LISTS: Mapping[str, tuple[str, ...]] = {
    "allow": ("to", "ports", "published", "from", "until"),
    "deny": ("to", "ports", "published", "from"),
    "expect": ("from", "to", "is"),
}
IN_CONF_D = ("sources", *LISTS)
SOURCE_WORDS = ("any", "bridge")
SOURCE_PREFIXES = ("iface", "file", "host", "container", "compose", "label", "network")
LONGEST_RESYNC = 86_400
"""Seconds: a day."""

_SOURCE_NAME = re.compile(r"\w[\w.-]*")
_ERROR_LINE = re.compile(r" ?\(at line (\d+), column (\d+)\)$")
_LONG_NUMBER = re.compile(r"\d[\d_]{4000}")
_LISTENER = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})")

ReadFile: TypeAlias = Callable[[str, str], bytes]
_T = TypeVar("_T")
_W = TypeVar("_W")


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file: ``name`` is its path as messages show it."""

    name: str
    text: bytes


def list_name(document: str, path: str) -> str:
    """How messages name the file of ``file:PATH``: seen from the folder of its document."""
    return str(PurePosixPath(document).parent / path)


def parse(documents: Sequence[Document], read_file: ReadFile) -> Policy:
    """The policy that the documents declare together; the first is the main file.

    ``read_file(document name, path)`` gives the bytes of a ``file:`` source or raises OSError.
    Raises `PolicyError` with all findings, in the order of the files and their lines.
    """
    report = _Report([document.name for document in documents])
    tables = [table for document in documents if (table := _load(document, report))]
    for table in tables:
        _check_top_level(table, main=table.file == documents[0].name)
    sources = _Sources(tables, read_file, report, complete=len(tables) == len(documents))
    policy = _Policy(tables, sources).build(report)
    if report.errors:
        raise PolicyError(report.in_order(report.errors))
    return policy


# --- documents and where things stand in them ----------------------------------------------------


@dataclass(slots=True)
class _Report:
    """Collects findings: (file, line, text), in no order."""

    files: list[str]
    errors: dict[tuple[str, int, str], None] = field(default_factory=dict)
    warnings: dict[tuple[str, int, str], None] = field(default_factory=dict)

    def error(self, file: str, line: int, text: str) -> None:
        self.errors[file, line, text] = None

    def warning(self, file: str, line: int, text: str) -> None:
        self.warnings[file, line, text] = None

    def in_order(self, findings: Iterable[tuple[str, int, str]]) -> tuple[str, ...]:
        """By file, documents before the lists that they name, then by line."""
        known = {name: number for number, name in enumerate(self.files)}
        ordered = sorted(findings, key=lambda f: (known.get(f[0], len(known)), f[0], f[1]))
        return tuple(f"{file}:{line}: {text}" for file, line, text in ordered)


@dataclass(frozen=True, slots=True)
class _Node:
    """A value of a document, its place, and the way to complain about it."""

    file: str
    value: Any
    place: Place
    report: _Report

    @property
    def origin(self) -> Origin:
        return Origin(self.file, self.place.line)

    def error(self, text: str) -> None:
        self.report.error(self.file, self.place.line, text)

    def warning(self, text: str) -> None:
        self.report.warning(self.file, self.place.line, text)

    def get(self, key: str) -> _Node | None:
        return self._inside(key) if key in self.value else None

    def items(self) -> list[tuple[str, _Node]]:
        """Keys of a table, in the order of the document."""
        return [(key, self._inside(key)) for key in self.value]

    def elements(self) -> list[_Node]:
        """Of a list; a single value is a list of one."""
        if not isinstance(self.value, list):
            return [self]
        return [self._inside(index) for index in range(len(self.value))]

    def _inside(self, key: str | int) -> _Node:
        return _Node(self.file, self.value[key], self.place.at(key), self.report)


def _load(document: Document, report: _Report) -> _Node | None:
    text, problem = decode(document.text)
    if problem:
        report.error(document.name, *problem)
        return None
    try:
        value, place = tomllib.loads(text), scan(text)
    except RecursionError:
        report.error(document.name, 1, "lists or tables are nested too deep: a policy needs two")
        return None
    except ValueError as error:
        report.error(document.name, *_syntax_error(str(error), text))
        return None
    return _Node(document.name, value, place, report)


def _syntax_error(message: str, text: str) -> tuple[int, str]:
    """The line of a parser's message, and the message for people."""
    last = text.rstrip().count("\n") + 1
    found = _ERROR_LINE.search(message)
    if found is None:
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else last
        what = "a number of thousands of digits" if long else message
        return line, f"not valid TOML: {what.replace(' (at end of document)', ' at the end')}"
    line, column = min(int(found[1]), last), int(found[2])
    what = f"not valid TOML: {message[: found.start()]} at column {column}"
    return line, what + _syntax_hint(message, text.split("\n")[line - 1][column - 1 :])


def _syntax_hint(message: str, rest: str) -> str:
    if message.startswith("Invalid value") and (word := re.match(r"[A-Za-z!*][^\s,\]#]*", rest)):
        return f': write it in quotes, `"{word[0][:60]}"`'
    if message.startswith("Invalid value") and re.match(r"[0-9a-fA-F]+[.:/]", rest):
        return ": an address stands in quotes"
    return ""


def _check_top_level(table: _Node, *, main: bool) -> None:
    known = (*SECTIONS, *IN_CONF_D)
    for key, node in table.items():
        if key not in known:
            node.error(f"unknown key {shown(key)}{_home_of(key) or nearest(key, known)}")
        elif not main and key not in IN_CONF_D:
            node.error(f"[{key}] belongs in the main file: conf.d may hold {_listed(IN_CONF_D)}")
        elif key in LISTS and not _is_list_of_tables(node.value):
            node.error(f"`{key}` is a list of tables: write [[{key}]]")
        elif key not in LISTS and not isinstance(node.value, dict):
            node.error(f"`{key}` is a table: write [{key}]")


def _home_of(key: str) -> str:
    """For a key that stands outside of its section."""
    for section, keys in SECTIONS.items():
        if key in keys:
            return f": it belongs in [{section}]"
    return ""


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(element, dict) for element in value)


def _listed(known: Collection[str]) -> str:
    return ", ".join(f"`{word}`" for word in known)


def _check_keys(node: _Node, known: Collection[str], where: str) -> None:
    for key, inside in node.items():
        if key == "until" and where == "[[deny]]":
            inside.error("`until` is for [[allow]] only: a deny does not end by itself")
        elif key not in known:
            near = nearest(key, known) or f": known are {_listed(known)}"
            inside.error(f"unknown key {shown(key)} in {where}{near}")


def _words(node: _Node | None, how: str) -> list[tuple[_Node, str]]:
    """The strings of a list, or of the one string that stands in its place."""
    found = []
    for element in node.elements() if node else ():
        if isinstance(element.value, str):
            found.append((element, element.value))
        else:
            element.error(f"{shown(element.value)} is no string: write {how}")
    return found


def _values(node: _Node | None) -> list[tuple[_Node, object]]:
    return [(element, element.value) for element in node.elements()] if node else []


def _read(node: _Node, word: _W, read: Callable[[_W], _T]) -> _T | None:
    """What ``read`` makes of a word; None where a `WordError` became a finding at its line."""
    try:
        return read(word)
    except WordError as error:
        node.error(str(error))
        return None


def _each(found: Iterable[tuple[_Node, _W]], read: Callable[[_W], _T]) -> tuple[_T, ...]:
    values = [_read(node, word, read) for node, word in found]
    return tuple(value for value in values if value is not None)


# --- sources -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reference:
    """A name from [sources]."""

    name: str


_Entry: TypeAlias = "tuple[_Node, Source | _Reference]"


class _Sources:
    """The named lists of all documents, and the reading of every ``from``."""

    def __init__(
        self, tables: Sequence[_Node], read_file: ReadFile, report: _Report, *, complete: bool
    ) -> None:
        self._read_file = read_file
        self._report = report
        self._complete = complete  # whether all documents could be read: else names may be missing
        self._lists: dict[tuple[str, str], FileSource | str | None] = {}
        self._nodes = self._collect(tables)
        self._entries = {name: self._named(name, node) for name, node in self._nodes.items()}
        self._resolved = self._resolve()

    def read(self, node: _Node, verdict: Literal["allow", "deny"]) -> tuple[Source, ...]:
        """The sources of a ``from`` or of the baseline, names replaced by what they stand for."""
        found: dict[object, Source] = {}
        for element, entry in self._read_entries(node):
            if isinstance(entry, _Reference):
                sources = self._resolved.get(entry.name, ())
            else:
                sources = (entry,)
            self._refuse_unfit(element, sources, verdict)
            found.update((_identity(source), source) for source in sources)
        return tuple(found.values())

    def _collect(self, tables: Sequence[_Node]) -> dict[str, _Node]:
        nodes: dict[str, _Node] = {}
        for table in tables:
            section = table.get("sources")
            if section is None or not isinstance(section.value, dict):
                continue
            for name, node in section.items():
                if name in nodes:
                    first = nodes[name].origin
                    node.error(f"source {shown(name)} is defined already, at {first}: rename one")
                else:
                    nodes[name] = node
        return nodes

    def _named(self, name: str, node: _Node) -> list[_Entry]:
        if problem := _wrong_name(name):
            node.error(problem)
        if node.value == []:
            node.error(f"source {shown(name)} is empty: write a source, or take it out")
        return self._read_entries(node)

    def _resolve(self) -> dict[str, tuple[Source, ...]]:
        graph = {
            name: {e.name: node for node, e in entries if isinstance(e, _Reference)}
            for name, entries in self._entries.items()
        }
        resolved: dict[str, tuple[Source, ...]] = {}
        for name in self._order(graph):
            found: dict[object, Source] = {}
            for _, entry in self._entries.get(name, ()):
                if isinstance(entry, _Reference):
                    sources = resolved.get(entry.name, ())
                else:
                    sources = (entry,)
                found.update((_identity(source), source) for source in sources)
            resolved[name] = tuple(found.values())
        return resolved

    def _order(self, graph: dict[str, dict[str, _Node]]) -> list[str]:
        """Every name after those that it holds; what closes a circle is reported and cut."""
        while circle := _circle(graph):
            node = graph[circle[0]].pop(circle[1])
            names = " > ".join(shown(name) for name in circle)
            node.error(f"sources hold each other in a circle: {names}")
        return list(TopologicalSorter(graph).static_order())

    def _read_entries(self, node: _Node) -> list[_Entry]:
        found = _words(node, 'one like `"192.0.2.0/24"` or `"any"`')
        entries = [
            (element, _read(element, word, partial(self._entry, element)))
            for element, word in found
        ]
        return [(element, entry) for element, entry in entries if entry is not None]

    def _entry(self, node: _Node, word: str) -> Source | _Reference | None:
        """None where a finding was reported already."""
        words.check_text(word)
        if word in SOURCE_WORDS:
            return AnySource() if word == "any" else BridgeSource()
        if word.startswith("!"):
            raise WordError(f"{shown(word)}: `!` is for `to` only: write a [[deny]] in its place")
        prefix = words.split_prefix(word)
        if prefix and prefix[0] in (*SOURCE_PREFIXES, *words.SELECTOR_KINDS):
            return self._prefixed(node, *prefix)
        if words.looks_like_address(word):
            return _address(node, word)
        if prefix:
            raise WordError(_unknown_prefix(*prefix))
        return self._reference(word)

    def _prefixed(self, node: _Node, kind: str, name: str) -> Source | None:
        words.check_named(kind, name)
        match kind:
            case "iface":
                return words.parse_interface(name)
            case "file":
                return self._file(node, name)
            case "host":
                return HostSource(words.parse_host_name(name))
            case "image" | "service":
                raise WordError(f"`{kind}:` is for `to` only: write container:, compose: or label:")
        return SelectorSource(words.parse_selector(kind, name))

    def _reference(self, word: str) -> _Reference:
        if word not in self._nodes and self._complete:
            known = (*self._nodes, *SOURCE_WORDS)
            near = nearest(word, known) or (
                f": define it in [sources], or write {shown('container:' + word)} for a container"
            )
            raise WordError(f"unknown source {shown(word)}{near}")
        return _Reference(word)

    def _file(self, node: _Node, path: str) -> FileSource | None:
        words.check_text(path)
        key = (node.file, path)
        if key not in self._lists:
            self._lists[key] = self._read_list(node.file, path)
        found = self._lists[key]
        if isinstance(found, str):
            raise WordError(found)
        return found

    def _read_list(self, document: str, path: str) -> FileSource | str | None:
        """The list, or why it cannot be read; None where its own lines are wrong."""
        name = list_name(document, path)
        try:
            data = self._read_file(document, path)
        except OSError as error:
            return f"cannot read {shown(name)}: {error.strerror or error}"
        text = parse_list(data)
        for line, problem in text.errors:
            self._report.error(name, line, problem)
        for line, hint in text.warnings:
            self._report.warning(name, line, hint)
        return None if text.errors else FileSource(path, text.networks)

    def _refuse_unfit(
        self, node: _Node, sources: Iterable[Source], verdict: Literal["allow", "deny"]
    ) -> None:
        for source in sources:
            if isinstance(source, HostSource) and verdict == "deny":
                node.error(
                    f"{shown(str(source))}: a name may fail or change, and this deny would deny "
                    "nobody: write addresses or `file:`"
                )
            if not isinstance(source, FileSource) or source.networks:
                continue
            if verdict == "deny":
                node.error(f"{shown(str(source))} is empty, so this deny would deny nobody")
            else:
                node.warning(f"{shown(str(source))} is empty, so it opens nothing")


def _circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Names that hold one another, each the next, the first one again at the end; or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        predecessors_first: list[str] = error.args[1]
        return predecessors_first[::-1]
    return []


def _identity(source: Source) -> object:
    # A list is read once, so it is one object; hashing its networks would take long.
    return id(source) if isinstance(source, FileSource) else source


def _address(node: _Node, word: str) -> AddressSource:
    network = words.parse_network(word)
    if whole_family(network):
        node.warning(whole_family_hint(word))
    return AddressSource(network)


def _unknown_prefix(kind: str, name: str) -> str:
    known = ", ".join(f"`{prefix}:`" for prefix in SOURCE_PREFIXES)
    near = nearest(kind, (*SOURCE_PREFIXES, *SOURCE_WORDS)) or f": known are {known}"
    return f"{shown(f'{kind}:{name}')}: unknown word {shown(kind + ':')}{near}"


def _wrong_name(name: str) -> str | None:
    """What is wrong with the name of a source: it must not look like any other source."""
    if name.lower() in SOURCE_WORDS:
        return f"{shown(name)} has a meaning of its own and cannot name a source: choose another"
    if words.looks_like_address(name):
        return f"{shown(name)} looks like an address and cannot name a source: begin with a letter"
    if not _SOURCE_NAME.fullmatch(name):
        return f"{shown(name)} cannot name a source: use letters, digits, `_`, `.` and `-`"
    return None


# --- rules and settings ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    """What [[allow]] and [[deny]] have in common."""

    sources: tuple[Source, ...]
    to: tuple[Selector, ...]
    ports: tuple[PortSpec, ...]
    published: tuple[PublishedSpec, ...]
    written_from: tuple[str, ...]


class _Policy:
    """Builds the policy from its documents; findings go to their report."""

    def __init__(self, tables: Sequence[_Node], sources: _Sources) -> None:
        self._tables = tables
        self._sources = sources

    def build(self, report: _Report) -> Policy:
        sections = {name: self._section(name) for name in SECTIONS}
        baseline = sections["defaults"].get("baseline")
        firewall = sections["firewall"]
        return Policy(
            baseline=self._baseline(baseline),
            mode=_choice(firewall.get("mode"), get_args(Mode), "enforce"),
            on_deny=_choice(firewall.get("on_deny"), get_args(OnDeny), "drop"),
            mark=_mark(firewall.get("mark")),
            committer=_choice(firewall.get("committer"), get_args(Committer), "iptables-restore"),
            resync=_resync(sections["daemon"].get("resync")),
            metrics=_listener(sections["daemon"].get("metrics")),
            metrics_file=_metrics_file(sections["daemon"].get("metrics_file")),
            allows=tuple(self._allow(node) for node in self._rules("allow")),
            denies=tuple(self._deny(node) for node in self._rules("deny")),
            expects=tuple(_expect(node) for node in self._rules("expect")),
            warnings=report.in_order(report.warnings),
        )

    def _section(self, name: str) -> dict[str, _Node]:
        found: dict[str, _Node] = {}
        for table in self._tables:
            section = table.get(name)
            if section is not None and isinstance(section.value, dict):
                _check_keys(section, SECTIONS[name], f"[{name}]")
                found.update(section.items())
        return found

    def _rules(self, kind: str) -> list[_Node]:
        rules = []
        for table in self._tables:
            node = table.get(kind)
            if node is None or not _is_list_of_tables(node.value):
                continue
            for rule in node.elements():
                _check_keys(rule, LISTS[kind], f"[[{kind}]]")
                rules.append(rule)
        return rules

    def _baseline(self, node: _Node | None) -> tuple[Source, ...]:
        return Policy().baseline if node is None else self._sources.read(node, "allow")

    def _allow(self, node: _Node) -> Allow:
        has_ports, has_published = "ports" in node.value, "published" in node.value
        if has_ports and has_published:
            node.error("an allow has `ports` or `published`, not both: write two [[allow]]")
        elif not has_ports and not has_published:
            node.error("an allow needs `to` with `ports`, or `published`")
        elif has_ports and "to" not in node.value:
            node.error('`ports` are ports of containers: add `to` (`to = "*"` is every container)')
        rule = self._rule(node, "allow")
        return Allow(
            node.origin,
            rule.sources,
            rule.to,
            rule.ports,
            rule.published,
            _until(node.get("until")),
            rule.written_from,
        )

    def _deny(self, node: _Node) -> Deny:
        has_ports, has_published = "ports" in node.value, "published" in node.value
        if has_ports and has_published:
            node.error("a deny has `ports` or `published`, not both: write two [[deny]]")
        elif has_ports and "to" not in node.value:
            node.error('`ports` are ports of containers: add `to` (`to = "*"` is every container)')
        rule = self._rule(node, "deny")
        return Deny(
            node.origin, rule.sources, rule.to, rule.ports, rule.published, rule.written_from
        )

    def _rule(self, node: _Node, verdict: Literal["allow", "deny"]) -> _Rule:
        source = node.get("from")
        if source is None:
            node.error('no `from`: write who is meant (`from = "any"` is everyone)')
        written = () if source is None else tuple(e.value for e in source.elements())
        to = _words(_list(node, "to"), "the name of a container or a selector")
        return _Rule(
            sources=() if source is None else self._sources.read(_not_empty(source), verdict),
            to=_each(to, words.parse_target),
            ports=_each(_values(_list(node, "ports")), words.parse_port),
            published=_each(_values(_list(node, "published")), words.parse_published),
            written_from=tuple(word for word in written if isinstance(word, str)),
        )


def _list(node: _Node, key: str) -> _Node | None:
    found = node.get(key)
    return None if found is None else _not_empty(found, key)


def _not_empty(node: _Node, key: str = "from") -> _Node:
    if node.value == []:
        node.error(f"`{key}` is empty: write at least one entry, or take the rule out")
    return node


def _choice(node: _Node | None, known: tuple[_T, ...], default: _T) -> _T:
    if node is None:
        return default
    for word in known:
        if node.value == word:
            return word
    choices = " or ".join(f'"{word}"' for word in known)
    node.error(f"{shown(node.value)} is unknown here: write {choices}")
    return default


def _mark(node: _Node | None) -> int:
    if node is None:
        return DEFAULT_MARK
    mark = node.value
    if type(mark) is int and 0 < mark < 2**32 and mark.bit_count() == 2:
        return mark
    node.error(
        f"{shown(mark)}: `mark` is a number of 32 bits with exactly two of them set, "
        f"like {DEFAULT_MARK:#x}"
    )
    return DEFAULT_MARK


def _resync(node: _Node | None) -> int:
    default = Policy().resync
    if node is None:
        return default
    if type(node.value) is int and 1 <= node.value <= LONGEST_RESYNC:
        return node.value
    node.error(f"{shown(node.value)}: `resync` is a number of seconds from 1 to {LONGEST_RESYNC}")
    return default


def _listener(node: _Node | None) -> str | None:
    """``ADDRESS:PORT`` of this host alone: what is counted here is not for the network."""
    if node is None:
        return None
    match = _LISTENER.fullmatch(node.value) if isinstance(node.value, str) else None
    try:
        address = ip_address(match[1].strip("[]")) if match else None
    except ValueError:
        address = None
    bracketed = match is not None and match[1].startswith("[")
    if not match or not address or (address.version == 6) != bracketed or int(match[2]) > 65535:
        node.error(
            f"{shown(node.value)}: `metrics` is a loopback address and a port, "
            "like `127.0.0.1:9567` or `[::1]:9567`"
        )
    elif not address.is_loopback:
        node.error(
            f"{shown(node.value)}: `metrics` listens on a loopback address only: write "
            f"`127.0.0.1:{match[2]}`, and put a reverse proxy before it for other hosts"
        )
    else:
        return match[0]
    return None


def _metrics_file(node: _Node | None) -> str | None:
    if node is None:
        return None
    path = node.value
    if isinstance(path, str) and path.isprintable() and path.startswith("/") and path[-1] != "/":
        return path
    node.error(
        f"{shown(path)}: `metrics_file` is the whole path of a file, "
        "like `/var/lib/node_exporter/dockerfw.prom`"
    )
    return None


def _until(node: _Node | None) -> datetime | None:
    """In UTC. A local time would end at another moment on another host."""
    if node is None:
        return None
    until = node.value
    if not isinstance(until, datetime) or until.tzinfo is None:
        local = until.isoformat() if isinstance(until, datetime) else "2027-01-31T00:00:00"
        node.error(
            f"{shown(until)}: `until` is a date-time with a zone and without quotes: "
            f"write `{local}Z` for UTC, or `{local}+01:00`, say"
        )
        return None
    try:
        return until.astimezone(timezone.utc)
    except OverflowError:
        node.error(f"{shown(until)}: `until` lies outside of the years 1 to 9999: take it out")
        return None


def _expect(node: _Node) -> Expect:
    source = _text(node, "from", words.check_question_source)
    target = _text(node, "to", words.check_question_target)
    verdict = node.get("is")
    if verdict is None:
        node.error('no `is`: write `is = "allowed"` or `is = "denied"`')
    allowed = _choice(verdict, ("allowed", "denied"), "denied") == "allowed"
    return Expect(node.origin, source, target, allowed)


def _text(node: _Node, key: str, check: Callable[[str], None]) -> str:
    """One string of an expectation; the empty one where a finding was reported."""
    found = node.get(key)
    if found is None:
        node.error(f"no `{key}`: an expectation has `from`, `to` and `is`")
        return ""
    if not isinstance(found.value, str):
        found.error(f"{shown(found.value)} is no string: an expectation asks for one `{key}`")
        return ""
    _read(found, found.value, check)
    return found.value
