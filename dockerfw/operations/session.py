"""The edges of one host, as every use case takes them.

Holds the kernel, the folder of what dockerfw remembers, the clocks, which Docker is asked and who
is notified. It decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

from dockerfw.clock import Clock
from dockerfw.docker.client import Docker
from dockerfw.docker.connection import TIMEOUT
from dockerfw.docker.engine import Refused
from dockerfw.errors import DockerfwError, Failed
from dockerfw.kernel.interface import Kernel
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.operations.reconcile import Reconciler
from dockerfw.report import completion
from dockerfw.state.store import Store

Phase: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""``with phase("asking Docker"):`` is what tells people what may take long."""


def at_once(_what: str) -> AbstractContextManager[None]:
    """Tell nobody: as if nothing took long."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Session:
    """What a use case needs of the host.

    ``docker_host`` is the address of Docker's socket, None for ``DOCKER_HOST`` or the default one.
    ``notify`` gets remarks for people, a sentence each. ``phase`` is told what is
    done meanwhile. ``user`` gives who this is.
    """

    kernel: Kernel
    store: Store
    clock: Clock
    docker_host: str | None
    notify: Callable[[str], None]
    phase: Phase = at_once
    user: Callable[[], int] = field(default_factory=lambda: os.geteuid)

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(self.kernel, self.store, self.clock.time)

    def require_root(self) -> None:
        """Raise `Failed` for everybody but root."""
        if self.user() != 0:
            raise Failed("only root may read and write the firewall: run it with sudo")

    def named_by_user(self, error: DockerfwError) -> bool:
        """Return True if an error of Docker's is the user's to know, whatever was last seen: a
        socket that was named and does not answer, or an engine that is refused.
        """
        return self.docker_host is not None or isinstance(error, Refused)

    def inventory(
        self, policy: Policy, timeout: float = TIMEOUT, *, warn: bool = True
    ) -> Inventory:
        """Return what runs now; images and labels are read for policies that need them alone. What
        it is called is written down for completion.

        ``timeout`` is in seconds, for each answer of Docker; with ``warn`` people are notified of
        what could not be read. Raises `Failed` without an answer.
        """
        with self.phase("asking Docker"):
            docker = Docker.connect(self.docker_host, timeout=timeout)
            found = docker.read_inventory({}, policy.needs())
            docker.close()
        self.store.completion.remember(completion.names(policy, found))
        for warning in docker.warnings if warn else ():
            self.notify(f"warning: {warning}")
        return found

    def started(self, container_ids: Iterable[str]) -> Mapping[str, float]:
        """Return since when these containers run, as `Docker.started` does. Raises `Failed`."""
        docker = Docker.connect(self.docker_host)
        try:
            return docker.started(container_ids)
        finally:
            docker.close()
