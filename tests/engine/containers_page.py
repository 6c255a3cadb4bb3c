"""docs/containers.md: its ``sh`` blocks, and a host in which they can be run as they stand."""

from __future__ import annotations

import re

from tests.lab.host import Host
from tests.lab.image import compose_program
from tests.paths import DOCS, REPOSITORY

_CLIENT = "/run/lab/docker-client"


def blocks(title: str) -> list[str]:
    """The commands below this heading, block by block."""
    text = (DOCS / "containers.md").read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text, flags=re.MULTILINE)
    found = next(part for part in section if part.startswith(f"{title}\n"))
    return re.findall(r"^```sh\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)


def follow(host: Host, block: str, folder: str = str(REPOSITORY)) -> str:
    """Run a block; what it prints. ``docker compose`` is Debian 13's."""
    plugin = host.path(f"{_CLIENT}/cli-plugins/docker-compose")
    plugin.parent.mkdir(parents=True, exist_ok=True)
    if not plugin.is_symlink():
        plugin.symlink_to(compose_program())
    env = {"DOCKER_CONFIG": _CLIENT, "DOCKER_BUILDKIT": "0"}
    script = f"set -e\ncd {folder}\n{block}"
    return host.run(["bash", "-c", script], timeout=300, env=env).stdout
