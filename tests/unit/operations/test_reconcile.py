"""What counts where the kernel does not tell."""

from __future__ import annotations

import pytest

from dockerfw.model.host import Backend, HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.operations.reconcile import with_backend


@pytest.mark.parametrize(
    "stands, docker_user, reported, backend, wants_docker_user",
    [
        (None, True, None, None, True),
        (None, True, "iptables", "iptables", True),
        (None, True, "nftables", "nftables", False),
        ("nftables", False, None, "nftables", False),
        ("nftables", False, "iptables", "nftables", False),
        ("iptables", True, "nftables", "iptables", True),
    ],
)
def test_rules_of_docker_that_stand_count_before_what_it_reports(
    stands: Backend | None,
    docker_user: bool,
    reported: Backend | None,
    backend: Backend | None,
    wants_docker_user: bool,
) -> None:
    facts = HostFacts(backend=stands, docker_user=docker_user)
    found = with_backend(facts, Inventory(backend=reported))
    assert (found.backend, found.docker_user) == (backend, wants_docker_user)
