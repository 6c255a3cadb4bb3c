"""``[[expect]]`` -> `Expect`: a question in the words of ``explain``, and the verdict it must have.

Takes the node of one such table, gives a value; what is wrong becomes a finding. Only the form of
the question is checked: whether it holds is found by ``report/explain``.
"""

from __future__ import annotations

from collections.abc import Callable

from dockerfw.model.policy import Expect, PortKeyword
from dockerfw.policy.addresses import looks_like_address, parse_address
from dockerfw.policy.document import Node, convert, one_of
from dockerfw.policy.ports import parse_host_address, parse_range, split_host_port
from dockerfw.policy.selectors import is_container_name
from dockerfw.policy.sources import parse_interface
from dockerfw.policy.words import WordError, check_text, shown


def read_expect(node: Node) -> Expect:
    """Return one expectation; what is wrong with it is reported as findings on its nodes."""
    source = _text(node, "from", _check_source)
    target = _text(node, "to", _check_target)
    verdict = node.get("is")
    if verdict is None:
        node.error('no `is`: write `is = "allowed"` or `is = "denied"`')
    allowed = one_of(verdict, ("allowed", "denied"), "denied") == "allowed"
    return Expect(node.origin, source, target, allowed)


def _text(node: Node, key: str, check: Callable[[str], None]) -> str:
    """Return one string of an expectation; the empty one where a finding was reported."""
    found = node.get(key)
    if found is None:
        node.error(f"no `{key}`: an expectation has `from`, `to` and `is`")
        return ""
    if not isinstance(found.value, str):
        found.error(f"{shown(found.value)} is no string: an expectation asks for one `{key}`")
        return ""
    convert(found, found.value, check)
    return found.value


def _check_source(word: str) -> None:
    """Check ``from``: an address (``@INTERFACE`` may follow), a container, ``host``."""
    check_text(word)
    name, at, interface = word.partition("@")
    if at:
        if parse_interface(interface).name.endswith("*"):
            raise WordError(f"{shown(word)}: write one interface, without `*`")
        parse_address(name)
    elif looks_like_address(name):
        parse_address(name)
    else:
        _check_one_container(name, word)


def _check_target(word: str) -> None:
    """Check ``to``: ``NAME:PORT[/PROTOCOL]``, ``:PORT``, ``ADDRESS:PORT``."""
    check_text(word)
    parts = split_host_port(word)
    if parts is None:
        raise WordError(f"{shown(word)} has no port: write NAME:PORT, ADDRESS:PORT or :PORT")
    host, ports = parts
    if ports != PortKeyword.ICMP.value:
        asked = parse_range(ports)
        if asked.first != asked.last:
            raise WordError(f"{shown(word)}: one port can be asked for, not a range")
    if host and (host.startswith("[") or looks_like_address(host)):
        parse_host_address(word, host, ports)
    elif host:
        _check_one_container(host, word)


def _check_one_container(name: str, word: str) -> None:
    bare = name.removeprefix("container:").removeprefix("/")
    if "*" in bare or not is_container_name(bare):
        raise WordError(f"{shown(word)}: write one address or the name of one container")
