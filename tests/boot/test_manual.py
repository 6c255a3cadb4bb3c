"""docs/operations.md, word by word: every ``sh`` block of it, in its order, on a real machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.boot.scene import by_port, everywhere, furnish, served
from tests.engine.scene import OFFICE, STRANGER
from tests.lab.boot import Machine
from tests.lab.wait import until
from tests.paths import REPOSITORY

pytestmark = pytest.mark.engine

CHECKOUT = "/usr/local/src/dockerfw"
REBOOT = "systemctl reboot"
# The machine has no way to a package index: what Debian has installed must do.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


def blocks(title: str = "") -> Iterator[str]:
    """The commands below the headings that begin with ``title``, one block after the other."""
    text = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        if section.startswith(title):
            yield from re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def follow(machine: Machine, block: str) -> None:
    script = f"set -e\ncd {CHECKOUT}\n{block}"
    machine.run(["bash", "-c", script], timeout=120, env=OFFLINE)


@pytest.mark.parametrize(
    "machine", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)], indirect=True
)
def test_the_manual_leads_from_nothing_to_a_host_that_never_was_open_and_back(
    machine: Machine,
) -> None:
    commands = list(blocks())
    before, after = commands[: commands.index(f"{REBOOT}\n")], commands
    after = commands[len(before) + 1 :]
    furnish(machine)
    machine.copy(REPOSITORY, CHECKOUT)
    for block in before:
        follow(machine, block)

    machine.off()
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    machine.boot()
    web = by_port(OFFICE)[::2]
    served(machine.outside.hammer(*web), web)
    removal = list(blocks("Removal"))
    for block in after[: -len(removal)]:
        follow(machine, block)
    assert stranger.go_on(3000, seconds=60).accepted == {}

    for block in removal:
        follow(machine, block)
    until(lambda: stranger.count().total > 0, "the ports to be open again", 30)
    left = machine.run(
        ["sh", "-c", "iptables-save; ip6tables-save; nft list tables; ipset list -n"]
    )
    assert "dockerfw" not in left.stdout.lower()
    assert machine.systemctl("is-failed", "dockerfw*", check=False) in ("", "inactive")
