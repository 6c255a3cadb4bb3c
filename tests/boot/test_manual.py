"""docs/operations.md, word by word: all commands that name this file, in order, on a machine."""

from __future__ import annotations

import pytest

from tests.boot.scene import by_port, everywhere, furnish, served
from tests.documents import commands
from tests.engine.scene import OFFICE, STRANGER
from tests.lab.boot import Machine
from tests.lab.wait import until
from tests.paths import REPOSITORY

pytestmark = pytest.mark.engine

CHECKOUT = "/usr/local/src/dockerfw"
REBOOT = "systemctl reboot"
# The machine has no way to a package index: what Debian has installed must do.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


def blocks(title: str = "") -> list[str]:
    """The commands below the headings that begin with ``title``, one block after the other."""
    found = commands("docs/operations.md", "tests/boot/test_manual.py")
    return [block.text for block in found if block.heading.startswith(title)]


def follow(machine: Machine, block: str) -> None:
    script = f"set -e\ncd {CHECKOUT}\n{block}"
    machine.run(["bash", "-c", script], timeout=120, env=OFFLINE)


@pytest.mark.parametrize(
    "machine", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)], indirect=True
)
def test_the_manual_leads_from_nothing_to_a_host_that_never_was_open_and_back(
    machine: Machine,
) -> None:
    every = blocks()
    before = every[: every.index(f"{REBOOT}\n")]
    after = every[len(before) + 1 :]
    furnish(machine)
    machine.copy(REPOSITORY, CHECKOUT)
    for block in before:
        follow(machine, block)

    machine.off()
    stranger = machine.outside.hammer(*everywhere(STRANGER))
    machine.boot()
    web = by_port(OFFICE)[::2]
    served(machine.outside.hammer(*web), web)
    removal = blocks("Removal")
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
