"""``status --watch`` looks again until it is stopped, and then tells what the last look found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fakeengine import FakeEngine
from tests.lab.host import Host


def test_it_looks_again_until_it_is_stopped(tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "s") as engine, Host() as host:
        watch = [sys.executable, "-m", "dockerfw", "status", "--watch", "-H", engine.url]
        argv = ["sh", "-c", 'echo "$$"; exec "$@"', "sh", *watch]
        child = host.start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        pid = child.stdout.readline().strip()
        verdicts = (line for line in child.stdout if line.startswith("NOT PROTECTED"))
        assert next(verdicts)
        assert next(verdicts), "a second look"
        host.run(["kill", "-INT", pid])
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (3, "")
