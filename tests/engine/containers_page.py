"""A host in which the commands of docs/containers.md can be run as they stand."""

from __future__ import annotations

from tests.lab.host import Host
from tests.lab.image import compose_program
from tests.paths import REPOSITORY

_CLIENT = "/run/lab/docker-client"


def follow(host: Host, block: str, folder: str = str(REPOSITORY)) -> str:
    """Run a block; what it prints. ``docker compose`` is Debian 13's."""
    plugin = host.path(f"{_CLIENT}/cli-plugins/docker-compose")
    plugin.parent.mkdir(parents=True, exist_ok=True)
    if not plugin.is_symlink():
        plugin.symlink_to(compose_program())
    env = {"DOCKER_CONFIG": _CLIENT, "DOCKER_BUILDKIT": "0"}
    script = f"set -e\ncd {folder}\n{block}"
    return host.run(["bash", "-c", script], timeout=300, env=env).stdout
