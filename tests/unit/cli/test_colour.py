"""Colour stands beside the words, at a terminal alone, and never changes them."""

from __future__ import annotations

import io
import re

import pytest

from dockerfw.cli.colour import painted, wanted

GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "line, colour, word",
    [
        ("PROTECTED: the policy is enforced, in sync", GREEN, "PROTECTED"),
        ("NOT PROTECTED: 3 ports open to anyone; next: dockerfw plan", RED, "NOT PROTECTED"),
        ("PROTECTED: the policy is enforced, but NOT ON EVERY PATH: so", RED, "NOT ON EVERY PATH"),
        ("OBSERVING: nothing is dropped, in sync", YELLOW, "OBSERVING"),
        ("OBSERVING: nothing is dropped; NOT IN SYNC: why", RED, "NOT IN SYNC"),
        ("  + web 80/tcp  opens to any", GREEN, "+"),
        ("  - web 80/tcp  closes to any", RED, "-"),
        ("  ~ host port 9001/tcp  nobody publishes it now", YELLOW, "~"),
        ("  IPv4 allowed  published 8080 → 80 (DNAT)", GREEN, "allowed"),
        ("  IPv6 denied   by docker-proxy [::]:8080", RED, "denied"),
        ("203.0.113.7 → web:80: denied on all paths", RED, "denied on all paths"),
        ("203.0.113.7 → web:80: OPEN on all paths", RED, "OPEN on all paths"),
        ("warning: config.toml:3: web has no port 8080", YELLOW, "warning"),
        ("dockerfw: no such thing", RED, "dockerfw"),
        ("  web  80/tcp  8080  anyone", RED, "anyone"),
    ],
)
def test_what_a_line_means_has_a_colour(line: str, colour: str, word: str) -> None:
    shown = painted(line)
    assert f"{colour}{word}\x1b[0m" in shown
    assert re.sub(r"\x1b\[\d+m", "", shown) == line


@pytest.mark.parametrize(
    "line", ["  denied  80/tcp  8080  any", "web (172.18.0.2)", "", "  policy  /etc/warning: x"]
)
def test_names_of_others_have_none(line: str) -> None:
    assert painted(line) == line


def test_pipes_and_no_color_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wanted(Screen())
    assert not wanted(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wanted(Screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wanted(Screen())
