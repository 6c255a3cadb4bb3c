from __future__ import annotations

import pytest

from dockerfw.daemon import lifecycle_lines as module
from dockerfw.daemon.log_lines import Line
from dockerfw.model.policy import Policy
from tests.build import container, inventory

ENFORCING = Policy()
OBSERVING = Policy(mode="observe")


@pytest.mark.parametrize(
    ("line", "level", "said"),
    [
        (module.starting("0.1.0", ENFORCING), "info", "dockerfw 0.1.0 starts"),
        (
            module.starting("0.1.0", OBSERVING),
            "info",
            "OBSERVING: nothing is dropped; dockerfw 0.1.0 starts",
        ),
        (
            module.starting("0.1.0", None),
            "warning",
            "dockerfw 0.1.0 starts; no policy was applied yet: run dockerfw apply",
        ),
        (
            module.ready(ENFORCING, inventory(container("web"), container("db")), 1340),
            "info",
            "ready, enforcing: 2 containers, 1,340 set entries",
        ),
        (
            module.ready(OBSERVING, inventory(container("web")), 1),
            "info",
            "ready, OBSERVING: nothing is dropped: 1 container, 1 set entry",
        ),
        (
            module.repaired("DOCKER-USER had no jump to DOCKERFW", {"nft", "iptables-restor"}),
            "warning",
            (
                "put right: DOCKER-USER had no jump to DOCKERFW "
                "(rules were written by iptables-restor, nft)"
            ),
        ),
        (
            module.repaired("set dockerfw-pub4 was empty"),
            "warning",
            "put right: set dockerfw-pub4 was empty",
        ),
        (
            module.policy_replaced("/etc/dockerfw/config.toml", "web 80/tcp opens to any"),
            "info",
            "policy replaced by /etc/dockerfw/config.toml: web 80/tcp opens to any",
        ),
        (
            module.policy_replaced("config.toml", ""),
            "info",
            "policy replaced by config.toml: nothing opens or closes",
        ),
        (
            module.docker_lost("connection refused"),
            "warning",
            "Docker does not answer, the rules stay as they are: connection refused",
        ),
        (
            module.docker_back(63.25),
            "info",
            "Docker answers again after 63.2 s: looking at everything",
        ),
    ],
)
def test_each_is_one_sentence_with_its_event(line: Line, level: str, said: str) -> None:
    assert (line.level, line.message) == (level, said)
    assert line.fields["event"]
