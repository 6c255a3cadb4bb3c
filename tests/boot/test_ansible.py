"""The collection of Ansible, on three booted machines and over a real sshd."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.fleet import (
    ADMINS,
    LISTS,
    POLICY,
    WITHOUT_ADMINS,
    Fleet,
    comes_in,
    fleet as a_fleet,
)
from tests.documents import commands
from tests.engine.scene import CONFIG, allow
from tests.lab.controller import run_on_collection as run
from tests.paths import REPOSITORY

pytestmark = pytest.mark.engine

# What the second host alone has: the others have no such container.
BROKEN_ON_TWO = '[[expect]]\nfrom = "192.0.2.17"\nto = "bastion:22"\nis = "denied"\n'
MORE = POLICY + allow("published = [8080]", "203.0.113.77")


LEAK = """\
table ip other {
    chain first {
        type filter hook prerouting priority -140
        tcp dport 8080 meta mark set 0x10000000
    }
}
"""
NEEDS_MORE = (
    *("ansible-doc", "import", "pep8", "pylint", "runtime-metadata", "validate-modules"),
    "yamllint",
)


@pytest.fixture(scope="module")
def fleet(test_run: Path) -> Iterator[Fleet]:
    with a_fleet(test_run) as made:
        yield made


def test_all_are_protected_one_after_the_other_and_a_second_time_nothing_changes(
    fleet: Fleet,
) -> None:
    assert set(fleet.protected().values()) == {(True, True)}
    first = fleet.first
    assert first.status == 0, first.said
    assert first.counted("changed") == {"one": 3, "two": 1, "three": 1}
    assert set(fleet.protected().values()) == {(True, False)}
    for machine in fleet.machines.values():
        machine.dockerfw("status")

    second = fleet.roll_out(POLICY)

    assert second.status == 0, second.said
    assert set(second.counted("changed").values()) == {0}, second.said


def test_check_mode_shows_the_plan_and_the_lines_and_touches_nothing(fleet: Fleet) -> None:
    fleet.begin_with()
    before = fleet.state("one")

    play = fleet.roll_out(MORE, "--check", "--diff", "--limit", "one")

    assert play.status == 0, play.said
    assert "dockerfw plan:" in play.said
    assert "203.0.113.77" in play.said
    assert "\n+published = [8080]" in play.said
    assert play.counted("changed") == {"one": 1}
    assert fleet.state("one") == before


def test_who_is_locked_out_goes_back_and_the_next_is_not_touched(fleet: Fleet) -> None:
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}
    # The others have their time, and this one is waited for.
    confirm = "{{ 10 if inventory_hostname == 'two' else 60 }}"

    play = fleet.roll_out(WITHOUT_ADMINS, confirm=confirm)

    assert play.status != 0
    assert "two has gone back to what was in force before" in play.said, play.said
    assert play.counted("failed") == {"one": 0, "two": 1}
    assert fleet.state("one") != before["one"]
    assert fleet.state("two") == before["two"]
    assert fleet.state("three") == before["three"]
    assert comes_in(fleet.controller, "two")
    assert fleet.machines["two"].read(CONFIG) == POLICY


def test_where_an_expectation_is_broken_it_stops_and_changes_nothing(fleet: Fleet) -> None:
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}

    play = fleet.roll_out(POLICY + BROKEN_ON_TWO, "--limit", "two,three")

    assert play.status != 0
    assert play.counted("failed") == {"two": 1}
    assert f"{CONFIG}:{len(POLICY.splitlines()) + 1}: " in play.said, play.said
    assert {name: fleet.state(name) for name in fleet.machines} == before


def test_a_mistake_is_one_sentence_with_file_and_line_and_no_host_is_touched(
    fleet: Fleet,
) -> None:
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}

    play = fleet.roll_out(POLICY + "[firewal]\n")

    assert play.status != 0
    assert play.counted("failed") == {"one": 1}
    line = len(POLICY.splitlines()) + 1
    assert f'"msg": "{CONFIG}:{line}: unknown ' in play.said, play.said
    assert {name: fleet.state(name) for name in fleet.machines} == before


@pytest.mark.slow
def test_a_list_that_locks_out_goes_back_though_the_daemon_follows_it(fleet: Fleet) -> None:
    fleet.begin_with()
    before = fleet.state("two")

    play = fleet.roll_out(
        POLICY, "--limit", "two,three", lists={ADMINS: "192.0.2.99\n"}, confirm=10
    )

    assert "two has gone back to what was in force before" in play.said, play.said
    assert play.counted("failed") == {"two": 1}
    assert fleet.state("two") == before
    assert comes_in(fleet.controller, "two")


@pytest.mark.slow
def test_where_a_probe_finds_a_leak_it_goes_back_and_stops(fleet: Fleet) -> None:
    """A rule of somebody else's says that a port was judged already."""
    fleet.begin_with()
    before = {name: fleet.state(name) for name in fleet.machines}
    two = fleet.machines["two"]
    two.run(["nft", "-f", "-"], stdin=LEAK)

    play = fleet.roll_out(MORE, "--limit", "two,three", confirm=20)

    two.run(["nft", "delete", "table", "ip", "other"])
    assert "packets do not do what the policy says: web, published" in play.said, play.said
    assert play.counted("failed") == {"two": 1}
    assert {name: fleet.state(name) for name in fleet.machines} == before


@pytest.mark.slow
def test_a_lockdown_is_not_ended_from_here(fleet: Fleet) -> None:
    fleet.begin_with()
    fleet.machines["one"].dockerfw("lockdown")

    play = fleet.roll_out(MORE, "--limit", "one")

    assert play.counted("failed") == {"one": 1}
    assert "all is locked down on this host" in play.said
    assert fleet.protected()["one"] == (False, False)


@pytest.mark.slow
def test_what_is_secret_is_neither_shown_nor_logged(fleet: Fleet) -> None:
    fleet.begin_with()

    play = fleet.roll_out(MORE, "--diff", "-vvv", "--limit", "one", no_log=True)

    assert play.status == 0, play.said
    assert "203.0.113.77" not in play.said.partition("PLAY [")[2]
    assert "203.0.113.77" not in fleet.machines["one"].run(["journalctl", "-o", "cat"]).stdout


@pytest.mark.slow
def test_without_the_package_it_says_so_and_check_mode_goes_on(fleet: Fleet) -> None:
    fleet.begin_with()
    one = fleet.machines["one"]
    one.run(["apt-get", "purge", "--yes", "dockerfw"])

    checked = fleet.roll_out(POLICY, "--check", "--diff", "--limit", "one")
    missing = fleet.roll_out(POLICY, "--limit", "one", deb="")
    again = fleet.roll_out(POLICY, "--limit", "one")

    assert checked.status == 0, checked.said
    assert "\n+[[allow]]" in checked.said
    assert "dockerfw is not installed on this host: install its package first" in missing.said
    assert missing.counted("failed") == {"one": 1}
    assert again.status == 0, again.said
    assert fleet.protected()["one"] == (True, False)


@pytest.mark.slow
def test_the_page_is_followed(fleet: Fleet) -> None:
    page = (REPOSITORY / "docs/fleet.md").read_text(encoding="utf-8")
    fleet.begin_with()
    controller = fleet.controller
    controller.write("config.toml", POLICY.replace("admins.netset", "office.netset"))
    controller.write("office.netset", LISTS[ADMINS])
    (controller.folder / "dist").mkdir()
    shutil.copy(fleet.package, controller.folder / "dist")
    (variables,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    controller.write("group_vars/dockerfw.yml", variables)

    for block in re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            controller.run(line.split(), timeout=540)

    for machine in fleet.machines.values():
        assert machine.read("/etc/dockerfw/office.netset") == LISTS[ADMINS]
        machine.dockerfw("status")


# --- the collection by itself --------------------------------------------------------------------


def test_its_readme_installs_it_as_the_page_does_that_is_followed_above() -> None:
    here = "tests/boot/test_ansible.py"
    (install,) = commands("packaging/ansible/README.md", here)
    assert install.text == commands("docs/fleet.md", here)[0].text


def test_the_collection_passes_the_linter_of_ansible(tmp_path: Path) -> None:
    done = run(tmp_path, "ansible-lint", "--offline", "--strict", "--profile=production", "-q")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manual_of_the_module_renders(tmp_path: Path) -> None:
    done = run(tmp_path, "ansible-doc", "--type", "module", "dockerfw.dockerfw.dockerfw")

    assert "dockerfw apply" in done.stdout, done.stderr
    assert "state=confirmed" in done.stdout


@pytest.mark.slow
def test_the_collection_passes_what_ansible_tests_offline(tmp_path: Path) -> None:
    """The others install what they need from places that need not be there."""
    skipped = [f"--skip-test={name}" for name in NEEDS_MORE]

    done = run(tmp_path, "ansible-test", "sanity", *skipped)

    assert done.returncode == 0, done.stdout + done.stderr
