"""How a tool that fails is reported, and how programs are started."""

from __future__ import annotations

import pytest

from dockerfw.errors import Failed
from dockerfw.kernel.runner import ImpatientRunner, SystemRunner, TooSlow, require
from tests.unit.kernel.fake_runner import FakeRunner, broken


@pytest.mark.parametrize(
    "stderr, sentence",
    [
        ("ipset v7.17: Cannot open session to kernel.", "no ip_set"),
        ("ipset v7.17: Error in line 1: Kernel error received: set type not supported", "set type"),
        ("ipset v7.17: Kernel error received: Operation not permitted", "as root"),
        ("iptables v1.8.9 (legacy): can't initialize iptables table `filter'", "lacks a table"),
        ("iptables-restore v1.8.9 (legacy): Set dockerfw-x doesn't exist.", "dockerfw-x doesn't"),
        ("Warning: Extension set revision 0 not supported, missing kernel module?", "xt_set"),
        ("Another app is currently holding the xtables lock; waiting", "wait until"),
        ("", "no reason"),
    ],
)
def test_each_known_complaint_has_a_sentence(stderr: str, sentence: str) -> None:
    with pytest.raises(Failed, match=sentence) as failed:
        require(FakeRunner({"tool": broken(stderr)}), ["tool"])
    assert "\n" not in str(failed.value)


def test_a_program_that_does_not_end_is_stopped_and_reported() -> None:
    with pytest.raises(Failed, match=r"did not end within 0\.05 seconds"):
        SystemRunner().run(["sleep", "60"], timeout=0.05)


def test_the_system_runner_gives_output_status_and_a_plain_environment() -> None:
    runner = SystemRunner()
    done = runner.run(["sh", "-c", "cat; env; printf '\\377' >&2; exit 3"], stdin="in\n")
    assert (done.stderr, done.status) == ("\\xff", 3)
    lines = done.stdout.splitlines()
    assert lines[0] == "in"
    assert "LC_ALL=C" in lines
    assert not any(line.startswith(("HOME=", "PYTHON")) for line in lines)
    with pytest.raises(Failed, match="no-such-tool is not installed"):
        runner.run(["no-such-tool"])
    assert runner.read_file("/proc/no/such/file") is None


def test_who_cannot_wait_gives_up_a_tool_that_hangs_and_goes_on_with_the_others() -> None:
    runner = ImpatientRunner(SystemRunner(), 2)  # enough for ``true`` on a busy machine
    with pytest.raises(TooSlow):
        runner.run(["sleep", "60"])
    with pytest.raises(TooSlow):
        runner.run(["sleep", "0"])
    assert runner.run(["true"]).status == 0
