"""The image of ``packaging/docker``, built by a real engine of a lab host from its Dockerfile.

There is no registry and no way to Debian's archive from there. So the name after ``FROM`` is given
to a Debian root which has what the Dockerfile installs, and no archive: ``apt-get install`` finds
all of it there, or fails. All other lines do what they say.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from tests.lab.engine import Engine, remove_cgroups
from tests.lab.host import Host
from tests.lab.roots import root
from tests.lab.wait import Closable
from tests.paths import REPOSITORY

FOLDER = REPOSITORY / "packaging" / "docker"
NAME = "dockerfw"
_DOCKERFILE = FOLDER / "Dockerfile"


def compose_program() -> Path:
    """``docker compose`` of Debian 13, which the machine's docker command takes as a plugin."""
    return root("trixie-compose") / "usr/libexec/docker/cli-plugins/docker-compose"


def import_base(engine: Engine) -> None:
    """Give the name after ``FROM`` to a root that has all that the Dockerfile installs."""
    text = _DOCKERFILE.read_text(encoding="utf-8")
    base = re.search(r"^FROM (\S+)$", text, re.MULTILINE)
    assert base is not None
    script = 'tar -C "$1" --exclude=\'./etc/apt/sources.list*\' -c . | docker import - "$2"'
    # By the machine's docker command, which sees the machine's folders.
    engine.host.run(["sh", "-c", script, "sh", str(root("trixie-image")), base[1]], timeout=300)


def build(engine: Engine) -> None:
    """Build it in this engine, as ``docker build`` would anywhere."""
    import_base(engine)
    argv = ["docker", "build", "-q", "-f", str(_DOCKERFILE), "-t", NAME, str(REPOSITORY)]
    engine.host.run(argv, timeout=300, env={"DOCKER_BUILDKIT": "0"})


def cgroups_of_its_own(host: Host) -> str:
    """Return the option for dockerd whose containers' cgroups end with the host."""
    name = f"dockerfw-lab-{uuid.uuid4().hex[:12]}"
    host.at_end.append(lambda: remove_cgroups(name))
    return f"--cgroup-parent=/{name}"


class Composed(Closable):
    """The container of ``compose.yaml`` and these ``files``; up at once, gone with its state.

    ``override`` is what it is to have otherwise, in YAML; ``project`` tells several of them apart.
    """

    def __init__(
        self, engine: Engine, *files: Path, override: str = "", project: str = "fw"
    ) -> None:
        self.engine = engine
        self.name = f"{project}-dockerfw-1"
        last = f"/run/lab/{project}.yaml"
        engine.host.write(last, f"services: {{dockerfw: {{{override}}}}}")
        self._argv = [str(compose_program()), "--project-name", project]
        for file in (FOLDER / "compose.yaml", *files, last):
            self._argv += ["-f", str(file)]
        self.compose("up", "-d")

    def compose(self, *arguments: str) -> str:
        """``docker compose`` of Debian 13; what it prints."""
        return self.engine.host.run([*self._argv, *arguments], timeout=120).stdout

    def close(self) -> None:
        self.compose("down", "--volumes")

    def dockerfw(self, *arguments: str) -> str:
        return self.engine.docker("exec", self.name, "dockerfw", *arguments)

    def said(self) -> str:
        """All that it has said so far."""
        done = self.engine.run(["docker", "logs", self.name])
        return done.stdout + done.stderr

    def healthy(self) -> bool:
        """Whether Docker calls it that."""
        return bool(self.engine.inspect(self.name)["State"]["Health"]["Status"] == "healthy")

    def well(self) -> bool:
        """What its health check says now."""
        check = self.engine.inspect(self.name)["Config"]["Healthcheck"]["Test"][1:]
        done = self.engine.run(["docker", "exec", self.name, *check], check=False)
        return done.returncode == 0

    def restarts(self) -> int:
        return int(self.engine.inspect(self.name)["RestartCount"])

    def turn(self) -> str:
        """Another one after each turn of its loop that had something to say."""
        argv = ["exec", self.name, "stat", "-c", "%y", "/run/dockerfw-container"]
        return self.engine.docker(*argv)
