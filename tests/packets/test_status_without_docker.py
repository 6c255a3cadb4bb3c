"""``status`` without Docker: what was last seen will do, but not for a socket that was named."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakeengine import FakeEngine
from tests.lab.host import Host

CONFIG = "/etc/dockerfw/config.toml"
NOWHERE = "unix:///run/no.sock"


def test_a_socket_that_was_named_and_is_not_there_is_never_well(tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "s") as engine, Host() as host:
        host.bridge("docker0", "172.17.0.1/16")
        host.write(CONFIG, "", 0o600)
        host.dockerfw("apply", "--yes", "-H", engine.url)
        assert host.dockerfw("status", "-H", engine.url).stdout.startswith("PROTECTED")

        since = json.loads(host.dockerfw("status", "--json", "-H", engine.url).stdout)
        assert since["counted_since"] >= since["applied_at"]
        host.write(CONFIG, "defaults.baseline = []", 0o600)
        host.dockerfw("apply", "--yes", "--allow-unenforced", "-H", engine.url)
        later = json.loads(host.dockerfw("status", "--json", "-H", engine.url, check=False).stdout)
        assert later["counted_since"] == since["counted_since"], "counters that stand go on"
        host.write(CONFIG, "", 0o600)
        host.dockerfw("apply", "--yes", "-H", engine.url)

        done = host.dockerfw("status", "-H", NOWHERE, check=False)
        assert done.returncode == 3
        assert done.stdout.startswith("NOT CHECKED: Docker does not answer"), done.stdout
        assert "/run/no.sock" in done.stdout
        done = host.dockerfw("status", "--json", "-H", NOWHERE, check=False)
        assert (done.returncode, json.loads(done.stdout)["in_sync"]) == (3, False)
        named = ("audit", "plan", "explain 203.0.113.7 :80", "apply --yes", "denied", "probe")
        for words in (f"{words} -H {NOWHERE}".split() for words in named):
            assert host.dockerfw(*words, check=False).returncode == 1, words

        engine.kill()  # nobody named a socket: as at a host whose Docker is stopped
        done = host.dockerfw("status", check=False, env={"DOCKER_HOST": engine.url})
        assert (done.returncode, "so this goes by what was last seen" in done.stdout) == (0, True)
        remote = {"DOCKER_HOST": "ssh://root@203.0.113.7"}
        assert host.dockerfw("status", check=False, env=remote).returncode == 1
