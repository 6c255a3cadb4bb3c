"""Every mistake of the command line is one sentence with the command that was meant."""

from __future__ import annotations

import re

import pytest

from dockerfw.cli.app import cli
from dockerfw.cli.mistakes import OTHERS_WORDS
from tests.unit.cli.terminal import Terminal


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("list", "`dockerfw status`"),
        ("reload", "`dockerfw apply`"),
        ("logs -f", "`journalctl -u dockerfw`"),
        ("validate", "`dockerfw check`"),
        ("ban 198.51.100.1", "write a [[deny]] into the policy, then run `dockerfw apply`"),
        ("version", "`dockerfw --version`"),
        ("-V", "`dockerfw --version`"),
        ("help plan", "`dockerfw plan --help`"),
        ("statsu --json", "did you mean `dockerfw status --json`?"),
        ("STATUS", "`dockerfw status`"),
        ("frobnicate", "there are allow, apply, audit"),
        ("--dry-run", "`dockerfw plan`"),
        ("apply --dry-run", "`dockerfw plan`"),
        ("plan -n", "plan writes nothing, and needs no -n"),
        ("-c f.toml plan", "`dockerfw plan -c f.toml`"),
        ("--json plan", "`dockerfw plan --json`"),
        ("-c f.toml status", "`dockerfw apply -c f.toml`"),
        ("status -c f.toml", "run `dockerfw status`"),
        ("daemon -c f.toml", "daemon goes by the policy in force"),
        ("plan f.toml", "`dockerfw plan -c f.toml`"),
        ("plan web", "plan takes no arguments: `dockerfw plan`"),
        ("apply -y", "here it is --yes"),
        ("check --jsn", "did you mean --json?"),
        ("status --follow", "`dockerfw status --watch`"),
        ("status --watch --json", "`dockerfw status --json`"),
        ("apply -v", "`dockerfw plan -v`"),
        ("check -H x", "see `dockerfw check --help`"),
        ("apply --confirm 0", "0 is not in the range 1<=x<=3600"),
        ("apply --reason", "see `dockerfw apply --help`"),
        ("plan -c", "see `dockerfw plan --help`"),
        ("audit --html", "see `dockerfw audit --help`"),
        ("apply --reason --yes", "--reason takes a value, and --yes is an option of apply"),
        ("plan -c --json", "-c takes a value, and --json is an option of plan"),
        ("explain 203.0.113.7", "`dockerfw explain 203.0.113.7 web:80`, say"),
        ("explain db:5432", "`dockerfw explain 203.0.113.7 db:5432`, say"),
        ("allow 203.0.113.7 web 80", "allow takes one source and one target"),
        ("allow 203.0.113.7", "`dockerfw allow 203.0.113.7 TARGET --for 2h`"),
        ("allow 203.0.113.7 web:80", "`dockerfw allow 203.0.113.7 web:80 --for 2h`"),
        ("allow --for 2h", "`dockerfw allow SOURCE TARGET --for 2h`"),
        ("allow 203.0.113.7 web:80 --for 2", "30m, 2h or 7d"),
        ("allow 203.0.113.7 web:80 --for 0h", "30m, 2h or 7d"),
        ("allow 203.0.113.7 web:80 --for 1h30m", "30m, 2h or 7d"),
        ("allow 203.0.113.7 --end 1", "--end takes a number alone: `dockerfw allow --end 1`"),
        ("allow --end one", "'one' is not a valid integer"),
        ("undo", "`dockerfw rollback`"),
        ("unban 198.51.100.1", "take its lines out of the policy"),
        ("close web", "take its [[allow]] out of the policy"),
        ("monitor", "`dockerfw status --watch`"),
        ("doctor", "`dockerfw audit`"),
        ("unlock", "the next `dockerfw apply`"),
        ("lockdown --off", "the next `dockerfw apply`"),
        ("lockdown off", "the next `dockerfw apply`"),
        ("mode observe", "below [firewall] of the policy"),
        ("whitelist", "write an [[allow]]"),
        ("apply -f f.toml", "here it is --config"),
        ("apply -f", "here it is --yes"),
        ("plan --yes", "plan asks nothing"),
        ("check -y", "check asks nothing"),
        ("denied -n 5", "`dockerfw denied --verbose`"),
        ("denied --all", "`dockerfw denied --verbose`"),
        ("allow --list", "`dockerfw allow` alone"),
        ("allow --remove 1", "here it is --end"),
        ("allow 203.0.113.7 web:80 --until 2h", "here it is --for"),
        ("rollback --to 3", "goes back to the policy before"),
        ("rollback 3", "goes back to the policy before"),
        ("history 3", "`dockerfw plan --since 3`"),
        ("plan 3", "`dockerfw plan --since 3`"),
        ("init f.toml", "`dockerfw init -o f.toml`"),
        ("init --force", "never writes over a file"),
        ("inventory -o f.json", "`dockerfw inventory > FILE`"),
        ("schema f.json", "`dockerfw schema > FILE`"),
        ("daemon start", "`systemctl start dockerfw`"),
        ("probe 10.0.0.1 web:80", "`dockerfw probe web:80 --from any`"),
        ("explain web", "`dockerfw explain 203.0.113.7 web`, say"),
        ("explain --from x --to y", "`dockerfw explain 203.0.113.7 web:80`"),
        ("completion", "`dockerfw completion bash`"),
        ("completion powershell", "`dockerfw completion bash`"),
        ("explain 203.0.113.7 web 80", "`dockerfw explain 203.0.113.7 web:80`"),
    ],
)
def test_the_one_right_command_is_named(terminal: Terminal, typed: str, meant: str) -> None:
    done = terminal.run(*typed.split())
    assert done.status == 2
    assert not done.out or "--json" in typed
    assert meant in done.err
    assert re.fullmatch(r"dockerfw: .*\n", done.err), "one sentence"


def test_nothing_typed_is_the_help(terminal: Terminal) -> None:
    done = terminal.run()
    assert "Commands:" in done.out + done.err


def test_no_word_of_others_is_a_command_of_ours() -> None:
    assert OTHERS_WORDS.keys().isdisjoint(cli.commands)


def test_every_command_that_is_proposed_exists() -> None:
    proposed = {
        name for text in OTHERS_WORDS.values() for name in re.findall(r"`dockerfw (\w+)", text)
    }
    assert proposed <= set(cli.commands)
