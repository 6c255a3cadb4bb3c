"""An audit as a page: whole by itself, readable without a script, and with nothing in it that
others wrote but as text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from dockerfw.report.audit import Host, audit, page
from dockerfw.report.audit.page_script import HASH, SCRIPT
from tests.build import allow, container, policy
from tests.unit.report.audit.hosts import WEB, shop, user

EMPTY = ("meta", "path", "!doctype")


class Tags(HTMLParser):
    """All tags, and that each that was opened is closed again."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.seen.append(tag)
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shown(host: Host) -> str:
    return page(audit(host), "shop.example.org", "2027-01-31 00:00 UTC")


def pictures(text: str) -> list[ET.Element]:
    found = re.findall(r"<svg viewBox=\"0 0 1120.*?</svg>", text, flags=re.DOTALL)
    return [ET.fromstring(one) for one in found]  # noqa: S314 - our own text


def test_it_is_whole_by_itself_and_has_no_script_but_its_own() -> None:
    text = shown(shop())
    own = f"<script>{SCRIPT}</script>"
    assert text.count(own) == 1
    assert f"script-src '{HASH}'" in text
    text = text.replace(own, "")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert {"script", "link", "img", "iframe"}.isdisjoint(tags.seen)
    assert not re.search(r"\bsrc=|\bhref=|url\(", text)
    assert "default-src 'none'" in text


def test_it_has_every_row_as_the_terminal_has_it() -> None:
    found = audit(shop(WEB, container("worker")))
    text = page(found, "shop.example.org", "2027-01-31 00:00 UTC")
    assert text.count("<tr>") == 1 + len(found.rows)
    assert "NOT PROTECTED by dockerfw: 2 ways in open to anyone" in text
    assert "no way in from outside: worker" in text


def test_names_and_rules_of_others_are_text() -> None:
    odd = replace(WEB, name='<script>"&\x1b')
    text = shown(shop(odd, tables=user('-m comment --comment "</svg><b>" -j DROP')))
    assert text.count("<script>") == 1, "our own"
    assert "<b>" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;&quot;&amp;?" in text


@pytest.mark.parametrize(
    "rule, kind, mark",
    [
        ("-j RETURN", "open", "arrow"),
        ("-j DROP", "closed", "end"),
        ("-m mark --mark 0x1 -j DROP", "unknown", "mark"),
        ("! -s 198.51.100.0/24 -j DROP", "some", "hollow"),
    ],
)
def test_open_and_closed_differ_by_the_end_of_their_lines(rule: str, kind: str, mark: str) -> None:
    (drawn,) = pictures(shown(shop(tables=user(rule))))
    published = [
        group
        for group in drawn.iter("g")
        if any("published" in (text.text or "") for text in group.iter("text"))
    ]
    (group,) = published
    assert group.get("class") == kind
    assert [part.get("class") for part in group if part.get("class") not in (None, "way")] == [mark]


def test_many_containers_are_pictures_that_stay_near_to_their_sources() -> None:
    many = [
        container(f"c{n}", f"front 172.18.{n // 200}.{n % 200 + 2}", published=f"{10000 + n}:80")
        for n in range(60)
    ]
    drawn = pictures(shown(shop(*many)))
    assert len(drawn) > 3
    assert all(len([g for g in one.iter("g") if g.get("class") == "closed"]) <= 40 for one in drawn)
    named = {text.text for one in drawn for text in one.iter("text") if text.get("class") == "name"}
    assert len(named) == 1  # its name comes behind a title
    titles = [t.text for one in drawn for text in one.iter("text") for t in text.iter("title")]
    assert sorted(titles, key=str) == sorted((c.name for c in many), key=str)


def test_what_enforcing_would_make_of_it_stands_in_the_table() -> None:
    rules = replace(policy(allow("198.51.100.0/24", to="web", ports=(80,))), mode="observe")
    text = shown(replace(shop(), in_force="observing", policy=rules))
    assert "<span>enforced: open to 198.51.100.0/24</span>" in text


def test_a_host_without_containers_has_no_picture() -> None:
    host = shop()
    assert pictures(shown(replace(host, inventory=replace(host.inventory, containers=())))) == []


def test_the_script_makes_no_tags_of_text_and_asks_nobody() -> None:
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function"):
        assert way not in SCRIPT
    for way in ("fetch", "XMLHttpRequest", "WebSocket", "import", "http", "</"):
        assert way not in SCRIPT
