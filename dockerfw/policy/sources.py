"""One word of ``from`` -> a source, or the name of a list from ``[sources]``.

Takes strings as they stand in the policy and a function that reads list files; what is wrong
becomes a finding. Never resolves a name: neither of ``[sources]`` (``named_sources.py`` does) nor
of a host or a container. A new kind of source begins here, in ``model/policy.py`` and in
``policy/json_schema.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from dockerfw.model.policy import (
    AddressSource,
    AnySource,
    BridgeSource,
    FileSource,
    HostSource,
    InterfaceSource,
    LanSource,
    SelectorSource,
    Source,
    may_be_inside,
)
from dockerfw.policy.address_list import parse_list
from dockerfw.policy.addresses import (
    looks_like_address,
    parse_network,
    whole_family,
    whole_family_hint,
)
from dockerfw.policy.document import Findings, Node, convert, list_name, strings
from dockerfw.policy.mistaken import meant_by_prefix, meant_by_word
from dockerfw.policy.selectors import SELECTOR_KINDS, parse_selector
from dockerfw.policy.words import (
    WordError,
    check_named,
    check_text,
    shown,
    split_prefix,
)

SOURCE_WORDS = ("any", "bridge")
SOURCE_PREFIXES = ("iface", "lan", "file", "host", "container", "compose", "label", "network")

# The kernel's IFNAMSIZ is 16 with the closing NUL (include/uapi/linux/if.h).
_INTERFACE_LENGTH = 15
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\*?|\*", re.ASCII)
_FQDN = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?",
    re.ASCII,
)

# Shorter ones are no home: whoever answers for the name would open half of the world.
_HOST_PREFIXES = range(33, 128)

ReadFile: TypeAlias = Callable[[str, str], bytes]
"""``(document name, path)`` -> the bytes of a ``file:`` source; raises OSError."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A name from ``[sources]``."""

    name: str


@dataclass(frozen=True, slots=True)
class Excepted:
    """``!`` in front of a source, or of a name: it is taken out of the others of its list."""

    of: Source | Reference


Entry: TypeAlias = "tuple[Node, Source | Reference | Excepted]"


class SourceReader:
    """Reads the words of all lists of one policy.

    ``names`` are those that ``[sources]`` defines; None where a document could not be read, so
    that any name may be defined in it.
    """

    def __init__(
        self, names: Collection[str] | None, read_file: ReadFile, findings: Findings
    ) -> None:
        self._names = names
        self._read_file = read_file
        self._findings = findings
        # By document and path: the list, why it cannot be read, or None for findings of its own.
        self._lists: dict[tuple[str, str], FileSource | str | None] = {}

    def read(self, node: Node) -> list[Entry]:
        """Return the entries of a list, or of the one word that stands in its place."""
        found = strings(node, 'one like `"192.0.2.0/24"` or `"any"`')
        entries = [
            (element, convert(element, word, partial(self._entry, element)))
            for element, word in found
        ]
        return [(element, entry) for element, entry in entries if entry is not None]

    def _entry(self, node: Node, word: str) -> Source | Reference | Excepted | None:
        if not word.startswith("!"):
            return self._source(node, word)
        if word.startswith("!!"):
            raise WordError(f"{shown(word)} is negated twice: write {shown(word.lstrip('!'))}")
        of = self._source(node, word[1:])
        if isinstance(of, AnySource):
            raise WordError(f"{shown(word)} leaves nobody: take it out")
        if of is not None and not isinstance(of, Reference) and may_be_inside(of):
            raise WordError(
                f"{shown(word)}: `!` takes addresses out of addresses: write a [[deny]] from "
                f"{shown(word[1:])} in its place"
            )
        return None if of is None else Excepted(of)

    def _source(self, node: Node, word: str) -> Source | Reference | None:
        """Return None where a finding was reported already."""
        check_text(word)
        if word in SOURCE_WORDS:
            return AnySource() if word == "any" else BridgeSource()
        prefix = split_prefix(word)
        if prefix and prefix[0] in (*SOURCE_PREFIXES, *SELECTOR_KINDS):
            return self._prefixed(node, *prefix)
        if looks_like_address(word):
            return _address(node, word)
        if prefix:
            near = meant_by_prefix(*prefix, SOURCE_PREFIXES)
            raise WordError(f"{shown(word)}: unknown word {shown(prefix[0] + ':')}{near}")
        return self._reference(word)

    def _prefixed(self, node: Node, kind: str, name: str) -> Source | None:
        check_named(kind, name)
        match kind:
            case "iface":
                return parse_interface(name)
            case "file":
                return self._file(node, name)
            case "host":
                return _host(name)
            case "lan":
                return _lan(name)
            case "image" | "service":
                raise WordError(f"`{kind}:` is for `to` only: write container:, compose: or label:")
        return SelectorSource(parse_selector(kind, name))

    def _reference(self, word: str) -> Reference:
        if self._names is not None and word not in self._names:
            # `any` is proposed for its own letters alone: a list was meant that is smaller.
            words = [known for known in SOURCE_WORDS if known != "any" or word.lower() == known]
            near = meant_by_word(word, (*self._names, *words))
            raise WordError(f"unknown source {shown(word)}{near}")
        return Reference(word)

    def _file(self, node: Node, path: str) -> FileSource | None:
        check_text(path)
        key = (node.file, path)
        if key not in self._lists:
            self._lists[key] = self._read_list(node.file, path)
        found = self._lists[key]
        if isinstance(found, str):
            raise WordError(found)
        return found

    def _read_list(self, document: str, path: str) -> FileSource | str | None:
        """Return the list, or why it cannot be read; None where its own lines are wrong."""
        name = list_name(document, path)
        try:
            data = self._read_file(document, path)
        except OSError as error:
            return f"cannot read {shown(name)}: {error.strerror or error}"
        text = parse_list(data)
        for line, problem in text.errors:
            self._findings.error(name, line, problem)
        for line, hint in text.warnings:
            self._findings.warning(name, line, hint)
        return None if text.errors else FileSource(path, text.networks)


def _address(node: Node, word: str) -> AddressSource:
    network = parse_network(word)
    if whole_family(network):
        node.warning(whole_family_hint(word))
    elif network.is_loopback:
        node.warning(
            f"{shown(word)} is this host itself, which reaches its containers always: it does "
            "nothing here, take it out"
        )
    return AddressSource(network)


def parse_interface(name: str) -> InterfaceSource:
    """Return the source ``iface:name``; ``*`` at the end of the name matches any rest."""
    check_text(name)
    if "@" in name:
        own = name.partition("@")[0]
        raise WordError(f"{shown(name)} is how ip shows it: write {shown('iface:' + own)}")
    if ":" in name:
        own = name.partition(":")[0]
        raise WordError(
            f"{shown(name)} is an alias, which receives nothing itself: "
            f"write {shown('iface:' + own)}"
        )
    if name.endswith("+"):
        raise WordError(f"{shown(name)}: the wildcard is `*`: write {shown(name[:-1] + '*')}")
    if not _INTERFACE.fullmatch(name) or name in (".", ".."):
        raise WordError(
            f"{shown(name)} is no interface name: write letters, digits, `_`, `.` and `-`, "
            "and `*` at the end only"
        )
    if len(name) > _INTERFACE_LENGTH:
        raise WordError(
            f"{shown(name)} has {len(name)} characters, an interface name has at most "
            f"{_INTERFACE_LENGTH}: see `ip -br link`"
        )
    return InterfaceSource(name)


def _lan(name: str) -> LanSource:
    interface = parse_interface(name).name
    if interface.endswith("*"):
        raise WordError(f"{shown('lan:' + name)}: write one interface, without `*`")
    return LanSource(interface)


def _host(text: str) -> HostSource:
    """Return ``host:NAME``, or ``host:NAME/64``: the network of that length around each address."""
    name, slash, length = text.partition("/")
    if not slash:
        return HostSource(parse_host_name(name))
    if not length.isascii() or not length.isdigit() or int(length) not in _HOST_PREFIXES:
        raise WordError(
            f"{shown('host:' + text)}: a length behind a name is for its IPv6 addresses, from 33 "
            f"to 127: write {shown(f'host:{name}/64')}"
        )
    return HostSource(parse_host_name(name), prefix=int(length))


def parse_host_name(name: str) -> str:
    """Return the fully qualified name of ``host:name``: lower case, no dot at its end."""
    check_text(name)
    if looks_like_address(name):
        raise WordError(f"{shown(name)} is an address: write it without `host:`")
    if not _FQDN.fullmatch(name):
        raise WordError(
            f"{shown(name)} is no full domain name: write one like `host:vpn.example.org`"
        )
    return name.rstrip(".").lower()
