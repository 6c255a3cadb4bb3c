"""The Debian package and the manual pages say what dockerfw says of itself."""

from __future__ import annotations

import re

import click
import pytest

from dockerfw import __version__
from dockerfw.cli.app import cli
from script.manual import PAGES
from tests.paths import DOCS, REPOSITORY

DEBIAN = REPOSITORY / "packaging" / "deb"
PAGE = PAGES["dockerfw.1"]().replace(r"\-", "-").replace(r"\(ga", "`").replace(r"\(aq", "'")


def test_the_package_has_the_version_of_the_program() -> None:
    first = (DEBIAN / "changelog").read_text(encoding="utf-8").splitlines()[0]
    assert re.match(rf"dockerfw \({re.escape(__version__)}\) ", first)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_manual_page_has_every_command_with_every_option(name: str) -> None:
    command = cli.commands[name]
    section = PAGE.partition(f"\n.SS {name}")[2].partition("\n.S")[0]

    assert section.splitlines()[1] == (command.help or "").strip().splitlines()[0]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(option in section for option in parameter.opts)


@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_a_manual_page_is_a_request_by_chance(name: str) -> None:
    requests = set(re.findall(r"^[.'][^ \n]*", PAGES[name](), flags=re.MULTILINE))
    known = {".TH", ".SH", ".SS", ".TP", ".IP", ".PP", ".nf", ".fi", ".in"}
    assert requests <= known


def test_every_word_of_the_policy_is_in_its_page() -> None:
    words = set(re.findall(r"[a-z]{3,}", (DOCS / "policy.md").read_text(encoding="utf-8").lower()))
    page = PAGES["dockerfw.toml.5"]().lower()

    # Names of columns in a table, and where links lead.
    assert {word for word in words if word not in page} <= {"key", "means", "write", "written"}


@pytest.mark.parametrize("name", PAGES)
def test_the_wheel_and_so_the_package_has_each_page(name: str) -> None:
    files = (REPOSITORY / "script" / "shared_files.py").read_text(encoding="utf-8")
    assert f'"man/man{name[-1]}/{name}"' in files
