"""The commands, as a sysadmin uses them: exit statuses, confirm, lockdown, boot, remove."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import Host
from tests.lab.place import Answer
from tests.lab.sets import saved_sets
from tests.lab.wait import until

CONFIG = "/etc/dockerfw/config.toml"
OFFICE, STRANGER = "198.51.100.7", "203.0.113.9"
OFFICE_ONLY = """
[[allow]]
to    = "db"
ports = [5432]
from  = ["198.51.100.0/24", "2001:db8:10::/48"]
"""
EVERYONE = """
[[allow]]
to    = "db"
ports = [5432]
from  = ["any"]
"""


class Scene(NamedTuple):
    host: Host
    engine: Engine
    db: EngineContainer

    def policy(self, text: str) -> None:
        self.host.write(CONFIG, text, mode=0o600)

    def status(self, *arguments: str) -> int:
        return self.host.dockerfw(*arguments, check=False).returncode

    def reach(self, source: str, *, patience: float = 0.5) -> Answer:
        return self.host.outside.tcp("203.0.113.1", 5432, source=source, patience=patience)

    def kernel(self) -> str:
        """All of this host's netfilter but the counters."""
        commands = ("iptables-save", "ip6tables-save", "nft list ruleset")
        texts = [self.host.run(command.split()).stdout for command in commands]
        text = "\n".join([*texts, saved_sets(self.host)])
        text = re.sub(
            r"\[\d+:\d+\]|^#.*|packets \d+ bytes \d+|initval \S+", "", text, flags=re.MULTILINE
        )
        return re.sub(r"\n+", "\n", text)


@pytest.fixture(scope="module")
def docker_host() -> Iterator[Scene]:
    with Host() as host, Engine(host, "20.10") as engine:
        yield Scene(host, engine, engine.container("db", "-p", "5432:5432", env={"PORT": "5432"}))


@pytest.fixture
def scene(docker_host: Scene) -> Iterator[Scene]:
    """A host on which nothing of dockerfw stands."""
    yield docker_host
    docker_host.host.dockerfw("remove", "--yes")


def test_plan_is_3_until_apply_has_run_and_0_after_it(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    assert scene.status("plan") == 3
    assert scene.status("status") == 3
    assert scene.status("apply", "--yes") == 0
    assert scene.status("plan") == 0
    assert scene.status("status") == 0


def test_a_second_apply_writes_nothing_and_counters_survive(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    assert scene.reach(OFFICE).text == "db"
    assert scene.reach(STRANGER).outcome == "silent"
    before = saved_sets(scene.host)

    again = json.loads(scene.host.dockerfw("apply", "--json").stdout)

    assert again["changed"] is False
    assert saved_sets(scene.host) == before
    told = json.loads(scene.host.dockerfw("status", "--json").stdout)
    assert told["allowed"], "the packets of the office are counted"
    assert told["denied"], "the packets of the stranger are counted"


def test_a_bad_policy_is_told_with_file_and_line_and_changes_nothing(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    before = scene.kernel()
    scene.policy('[[allow]]\nto = "db"\nports = [0]\nfrom = ["officee"]\n')

    done = scene.host.dockerfw("apply", check=False)

    assert done.returncode == 2
    assert f"{CONFIG}:3:" in done.stderr
    assert f"{CONFIG}:4:" in done.stderr
    assert scene.kernel() == before


def test_a_broken_expectation_stops_the_apply(scene: Scene) -> None:
    scene.policy(EVERYONE + '[[expect]]\nfrom = "203.0.113.9"\nto = "db:5432"\nis = "denied"\n')
    before = scene.kernel()
    done = scene.host.dockerfw("apply", "--yes", check=False)
    assert done.returncode == 2
    assert f"{CONFIG}:6:" in done.stderr
    assert scene.kernel() == before


def test_strict_takes_a_warning_for_an_error(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY + '[[allow]]\nto = "nobody"\nports = [80]\nfrom = ["any"]\n')
    assert scene.status("apply", "--yes", "--strict") == 2
    assert scene.status("apply", "--yes") == 0


@pytest.mark.parametrize("command", ["plan", "apply", "status"])
def test_without_docker_the_answer_is_one_sentence(scene: Scene, command: str) -> None:
    scene.policy(OFFICE_ONLY)
    done = scene.host.dockerfw(command, "-H", "unix:///run/no.sock", check=False)
    assert done.returncode == (3 if command == "status" else 1)
    assert "Traceback" not in done.stderr
    assert "/run/no.sock" in done.stdout + done.stderr


def test_a_remote_engine_is_refused(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    before = scene.kernel()
    done = scene.host.dockerfw("apply", "-H", "tcp://203.0.113.77:2375", check=False)
    assert done.returncode == 1
    assert scene.kernel() == before


def test_an_unconfirmed_first_apply_takes_everything_out_again(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    before = scene.kernel()
    done = scene.host.dockerfw("apply", "--confirm", "1", check=False)
    assert done.returncode == 1
    assert "rolled back" in done.stderr
    assert scene.kernel() == before


def test_an_unconfirmed_apply_goes_back_to_the_policy_before_it(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    before = scene.kernel()
    scene.policy(EVERYONE)
    assert scene.status("apply", "--confirm", "1") == 1
    assert scene.kernel() == before
    assert scene.reach(STRANGER).outcome == "silent"


def begin_confirm(scene: Scene, seconds: int) -> Any:
    """`apply --confirm` in the background, waiting for an answer.

    ``seconds`` has to be enough to see the new policy hold, on a slow machine, too.
    """
    python = scene.host.dockerfw("--version").args
    assert "--version" in python
    argv = [*python[: python.index("--version")], "apply", "--confirm", str(seconds)]
    child = scene.host.start(argv[argv.index("-m") - 1 :])
    until(lambda: scene.reach(STRANGER).text == "db", "the new policy to hold", 30)
    return child


def test_confirm_keeps_it(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.policy(EVERYONE)
    child = begin_confirm(scene, 60)
    scene.host.dockerfw("confirm")
    assert child.wait(30) == 0
    assert scene.reach(STRANGER).text == "db"
    assert scene.status("confirm") == 1, "there is nothing to confirm any more"


def test_it_rolls_back_although_the_apply_was_killed(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.policy(EVERYONE)
    child = begin_confirm(scene, 12)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    until(lambda: scene.reach(STRANGER).outcome == "silent", "the roll-back", 40)
    assert scene.reach(OFFICE).text == "db"


def test_of_two_that_nobody_confirmed_the_policy_before_both_comes_back(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    before = scene.kernel()
    scene.policy(EVERYONE)
    first = begin_confirm(scene, 60)
    scene.policy(EVERYONE + "# another\n")
    done = scene.host.dockerfw("apply", "--confirm", "2", check=False)
    assert done.returncode == 1
    assert "rolled back" in done.stderr
    assert first.wait(20) == 1
    assert scene.kernel() == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("apply", marks=pytest.mark.slow),
        "confirm",
        "boot",
        pytest.param("lockdown", marks=pytest.mark.slow),
    ],
)
def test_it_rolls_back_although_everybody_who_would_was_killed(scene: Scene, command: str) -> None:
    """``plan`` writes nothing, so it cannot."""
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.policy(EVERYONE)
    child = begin_confirm(scene, 12)
    token = json.loads(scene.host.run(["cat", "/var/lib/dockerfw/pending.json"]).stdout)["token"]
    those = scene.host.run(["pgrep", "-f", f"rollback {token}$|apply --confirm 12$"]).stdout.split()
    assert len(those) == 2
    scene.host.run(["kill", "-KILL", *those])
    child.wait(10)
    until(lambda: scene.status("status") == 3, "the end of its time", 60)
    assert scene.reach(STRANGER).text == "db"
    assert "nobody confirmed the last apply" in scene.host.dockerfw("status", check=False).stdout
    scene.policy(OFFICE_ONLY)
    scene.status(command)
    assert scene.reach(STRANGER).outcome == "silent"
    assert scene.status("confirm") == 1
    if command in ("apply", "confirm"):
        assert scene.reach(OFFICE).text == "db"


def at_a_terminal(scene: Scene, arguments: str, keys: str) -> Any:
    """Run dockerfw at a terminal at which these keys are typed."""
    python = scene.host.dockerfw("--version").args
    command = " ".join(["NO_COLOR=1", *python[python.index("-m") - 1 : -1], arguments])
    return scene.host.run(["script", "-qec", command, "/dev/null"], stdin=keys, check=False)


@pytest.mark.parametrize(("keys", "status"), [("y\ny\n", 0), ("y\nn\n", 1), ("n\n", 1)])
def test_the_first_apply_at_a_terminal_shows_asks_and_asks_again(
    scene: Scene, keys: str, status: int
) -> None:
    scene.policy(OFFICE_ONLY)
    before = scene.kernel()
    done = at_a_terminal(scene, "apply", keys)
    assert done.stdout.index("5432/tcp") < done.stdout.index("Apply this? [y/N]")
    assert ("Keep these rules? [y/N]" in done.stdout) is (keys[0] == "y")
    assert done.returncode == status
    assert (scene.reach(STRANGER).outcome == "silent") is (status == 0)
    if status == 0:
        assert "Next: enable the units" in done.stdout
    else:
        assert scene.kernel() == before


def test_at_a_terminal_every_change_is_asked_for_and_yes_asks_nothing(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    assert "[y/N]" not in at_a_terminal(scene, "apply --yes", "").stdout
    scene.policy(EVERYONE)
    before = scene.kernel()
    refused = at_a_terminal(scene, "apply", "n\n")
    assert refused.returncode == 1
    assert "not agreed: nothing was changed" in refused.stdout
    assert scene.kernel() == before
    assert at_a_terminal(scene, "apply", "y\n").returncode == 0
    assert scene.reach(STRANGER).text == "db"
    assert "[y/N]" not in at_a_terminal(scene, "apply", "").stdout, "nothing changes"
    scene.policy('[firewall]\nmode = "observe"\n' + EVERYONE)
    opened = at_a_terminal(scene, "apply", "y\n").stdout
    assert opened.index("nothing is dropped any more") < opened.index("Apply this?")


def test_before_any_policy_status_and_explain_say_that_it_is_open(scene: Scene) -> None:
    told = scene.host.dockerfw("status", check=False)
    assert told.returncode == 3
    assert told.stdout.startswith("NOT PROTECTED: 1 port open to anyone; next: ")
    answered = scene.host.dockerfw("explain", STRANGER, "db:5432")
    assert "db:5432: OPEN on all paths" in answered.stdout
    assert scene.reach(STRANGER).text == "db"


def test_plan_shows_who_accepts_above_dockerfw_and_apply_goes_above_it(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.host.run(["iptables", "-I", "FORWARD", "-s", STRANGER, "-j", "ACCEPT"])
    assert scene.reach(STRANGER).outcome == "silent", "the seal holds"
    planned = scene.host.dockerfw("plan", check=False)
    assert planned.returncode == 3
    assert re.search(r"stands above dockerfw and has let [1-9]\d* packets? through", planned.stderr)
    scene.host.dockerfw("apply")
    rules = scene.host.run(["iptables", "-S", "FORWARD"]).stdout.splitlines()
    assert rules[1] == "-A FORWARD -j DOCKER-USER"
    assert f"-A FORWARD -s {STRANGER}/32 -j ACCEPT" in rules, "moved, not edited"
    scene.host.run(["iptables", "-D", "FORWARD", "-s", STRANGER, "-j", "ACCEPT"])


def test_observe_drops_nothing_and_counts_what_it_would(scene: Scene) -> None:
    scene.policy('[firewall]\nmode = "observe"\n' + OFFICE_ONLY)
    done = scene.host.dockerfw("apply", "--yes")
    assert done.stdout.startswith("OBSERVING")
    assert scene.host.dockerfw("plan").stdout.startswith("OBSERVING")
    for address in ("203.0.113.1", "2001:db8:1::1"):
        assert scene.host.outside.tcp(address, 5432).text == "db"
    told = scene.host.dockerfw("status", check=False)
    assert told.stdout.startswith("OBSERVING")
    assert told.returncode == 3
    denied = json.loads(scene.host.dockerfw("status", "--json", check=False).stdout)["denied"]
    assert sum(row["packets"] for row in denied) >= 2


def test_bridges_with_odd_names_are_left_out_and_named(scene: Scene) -> None:
    names = ("a*b", "{}", "grün", 'q"x', "tail*")
    scene.policy(OFFICE_ONLY)
    for name in names:
        scene.host.run(["ip", "link", "add", name, "type", "bridge"])
    try:
        planned = scene.host.dockerfw("plan", check=False)
        assert planned.returncode == 3
        assert scene.status("apply", "--yes") == 0
        status = scene.host.dockerfw("status")
        for said in (planned.stdout + planned.stderr, status.stdout):
            assert [name for name in names if f"the bridge {name!r} has a name" not in said] == []
        assert scene.status("lockdown") == 0
        assert scene.reach(STRANGER).outcome == "silent"
    finally:
        for name in names:
            scene.host.run(["ip", "link", "delete", name])


def test_reject_answers_at_once(scene: Scene) -> None:
    scene.policy('[firewall]\non_deny = "reject"\n' + OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    assert scene.reach(STRANGER).outcome == "refused"
    assert scene.host.outside.tcp("2001:db8:1::1", 5432).outcome == "refused"
    assert scene.reach(OFFICE).text == "db"


def test_lockdown_closes_to_everyone_until_the_next_apply(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY.replace("5432", "5432, 6000"))
    scene.host.dockerfw("apply", "--yes")
    scene.db.listen("6000/tcp")
    flow = scene.host.outside.flow("tcp", scene.db.address, 6000, source=OFFICE)
    assert flow.ask()
    scene.host.dockerfw("lockdown")
    assert not flow.ask(), "flows that stand are closed too"
    assert scene.reach(OFFICE).outcome == "silent"
    assert scene.host.tcp("203.0.113.1", 5432).text == "db", "this host itself still reaches it"
    scene.host.dockerfw("apply")
    assert scene.reach(OFFICE).text == "db"


def test_status_is_3_as_soon_as_a_container_has_moved(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.engine.container("late")
    assert scene.status("status") == 3
    scene.engine.docker("rm", "-f", "late")
    assert scene.status("status") == 0


def test_status_tells_when_the_file_says_something_else(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.policy(EVERYONE)
    told = json.loads(scene.host.dockerfw("status", "--json", check=False).stdout)
    assert told["policy_differs"] is True
    assert scene.reach(STRANGER).outcome == "silent", "only an apply puts it in force"


def test_status_names_a_rule_that_matches_nobody_any_more(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY + '[[allow]]\nto = "nobody"\nports = [80]\nfrom = ["any"]\n')
    scene.host.dockerfw("apply", "--yes")
    told = scene.host.dockerfw("status", check=False)
    assert told.returncode == 0
    assert f"{CONFIG}:6: nobody matches no running container" in " ".join(told.stdout.split())


def test_two_applies_at_once_both_end_well(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    python = scene.host.dockerfw("--version").args
    own = " ".join(python[python.index("-m") - 1 : -1])
    script = f"{own} apply --yes & {own} apply --yes; wait $!"
    done = scene.host.run(["sh", "-ec", script])
    assert scene.status("plan") == 0, done.stderr


@pytest.mark.slow  # whole boots are in tests/boot
def test_after_a_boot_all_is_closed_and_host_ports_work_before_any_apply(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    scene.engine.stop()
    for program in ("iptables", "ip6tables"):
        for table in ("filter", "mangle", "nat"):
            scene.host.run([program, "-t", table, "-F"])
            scene.host.run([program, "-t", table, "-X"])
    scene.host.run(["nft", "delete", "table", "inet", "dockerfw"])
    scene.host.run(["ipset", "flush"])  # a set that another one lists cannot be destroyed
    scene.host.run(["ipset", "destroy"])

    scene.host.dockerfw("boot")

    paths = [("203.0.113.1", 5432, STRANGER), ("2001:db8:1::1", 5432, "2001:db8:1::9")]
    with scene.host.outside.hammer(*paths) as hammer:
        scene.engine.start()
        scene.engine.docker("start", "db")
        begun = hammer.count().tries
        until(lambda: hammer.count().tries > begun + 300, "the hammer to go on", 30)
        assert hammer.stop().total == 0
    assert scene.reach(OFFICE, patience=5).text == "db", "by host port, without any apply"
    assert "changed" in scene.host.dockerfw("boot").stdout
    scene.host.dockerfw("apply")


def test_remove_leaves_the_kernel_as_it_was(scene: Scene) -> None:
    before = scene.kernel()
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    assert scene.kernel() != before
    scene.host.dockerfw("remove", "--yes")
    assert scene.kernel() == before
    assert scene.status("remove") == 2, "without a terminal it wants --yes"


def test_explain_says_by_which_line(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.dockerfw("apply", "--yes")
    allowed = scene.host.dockerfw("explain", OFFICE, "db:5432")
    assert f"{CONFIG}:2" in allowed.stdout
    assert scene.status("explain", STRANGER, "db:5432") == 3
    assert scene.status("explain", STRANGER, "nobody:5432") == 2
    assert scene.status("explain", f"{STRANGER}@eth99", "db:5432") == 2, "no such interface"
    denied = scene.host.dockerfw("explain", STRANGER, "db:5432", check=False).stdout
    assert f'  ports = [5432]\n  from  = ["{STRANGER}"]\n' in denied
    assert scene.status("explain", STRANGER, "db") == 3


def test_a_recorded_inventory_serves_plan_check_and_explain(scene: Scene) -> None:
    scene.policy(OFFICE_ONLY)
    scene.host.write("/run/inventory.json", scene.host.dockerfw("inventory").stdout)
    recorded = ("--inventory", "/run/inventory.json", "-c", CONFIG)
    assert scene.status("check", *recorded) == 0
    assert scene.status("plan", *recorded) == 3
    assert scene.status("explain", OFFICE, "db:5432", *recorded) == 0


def test_what_docker_answered_is_kept_for_completion_until_all_is_removed(scene: Scene) -> None:
    scene.policy(f'[sources]\noffice = "198.51.100.0/24"\n{OFFICE_ONLY}')
    scene.host.dockerfw("apply", "--yes")
    names = scene.host.run(["stat", "--format=%a %U", "/run/dockerfw/completion"]).stdout
    known = scene.host.run(["cat", "/run/dockerfw/completion"]).stdout
    assert (names, known) == (
        "600 root\n",
        "container db\nsource office\ntarget :5432\ntarget db:5432\n",
    )
    scene.host.dockerfw("remove", "--yes")
    assert scene.host.run(["ls", "/run/dockerfw"]).stdout.split().count("completion") == 0


def test_the_schema_is_a_json_document(scene: Scene) -> None:
    assert "$schema" in json.loads(scene.host.dockerfw("schema").stdout)
