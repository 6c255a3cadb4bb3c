"""Errors: sentences on stderr, and with --json one document on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from dockerfw.cli.failure import failure, print_failure
from dockerfw.errors import Failed, PolicyError, UsageError
from tests.json_documents import holds
from tests.unit.cli.terminal import Terminal


@pytest.mark.parametrize(
    "error, status, errors",
    [
        (Failed("no ipset"), 1, [("no ipset", None, None)]),
        (UsageError("no such thing"), 2, [("no such thing", None, None)]),
        (PolicyError(["a.toml:1: bad", "worse"]), 2, [("bad", "a.toml", 1), ("worse", None, None)]),
        (click.exceptions.Abort(), 130, [("stopped", None, None)]),
        (click.ClickException("odd"), 1, [("odd", None, None)]),
    ],
)
def test_a_program_gets_its_errors_in_a_document(
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    errors: list[tuple[str, str | None, int | None]],
) -> None:
    assert print_failure(failure(error, ["plan", "--json"])) == status
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "schema": 1,
        "errors": [
            {"code": None, "text": text, "file": file, "line": line} for text, file, line in errors
        ],
        "exit_status": status,
    }
    holds("errors", document)


def test_people_get_sentences_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_failure(failure(Failed("one\ntwo"), ["plan"]))
    print_failure(failure(Failed(""), ["plan"]))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "dockerfw: one\ndockerfw: two\ndockerfw: \n")


def test_a_broken_policy_is_a_document_for_programs(terminal: Terminal, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[[allow]]\nto = "web"\nports = [0]\nfrom = ["any"]\n')
    config.chmod(0o600)
    done = terminal.run("check", "-c", str(config), "--json")
    document = json.loads(done.out)
    assert done.status == 2
    assert [(error["file"], error["line"]) for error in document["errors"]] == [(str(config), 3)]
