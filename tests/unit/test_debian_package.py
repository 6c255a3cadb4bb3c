"""The Debian package and its manual page say what dockerfw says of itself."""

from __future__ import annotations

import re

import click
import pytest

from dockerfw import __version__
from dockerfw.cli.app import cli
from script.manual import page
from tests.paths import REPOSITORY

DEBIAN = REPOSITORY / "packaging" / "deb"
PAGE = page().replace(r"\-", "-")


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


def test_no_line_of_the_manual_page_is_a_request_by_chance() -> None:
    requests = set(re.findall(r"^[.'][^ \n]*", PAGE, flags=re.MULTILINE))
    assert requests == {".TH", ".SH", ".SS", ".TP"}
