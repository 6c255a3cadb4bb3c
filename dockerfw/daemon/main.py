"""The ``daemon`` command: makes the edges of this host, and runs the daemon on them.

The one module here that reads the host's clocks, the environment of the process, and Docker's
address; everything else gets what it needs passed in.
"""

from __future__ import annotations

import gc
import sys
from contextlib import closing
from functools import partial

from dockerfw.clock import SystemClock
from dockerfw.daemon.edges import Edges
from dockerfw.daemon.log import Form, open_log
from dockerfw.daemon.loop import Daemon
from dockerfw.daemon.memory import be_thrifty
from dockerfw.daemon.systemd import Systemd
from dockerfw.daemon.worker import Worker
from dockerfw.dns.resolver import Resolver
from dockerfw.docker.client import Docker
from dockerfw.docker.connection import listener_pids, socket_path
from dockerfw.docker.watcher import Watcher
from dockerfw.kernel.inotify import FileNotices
from dockerfw.kernel.ipset.ask import ask
from dockerfw.kernel.netfilter import Netfilter
from dockerfw.kernel.netlink import AddressNotices, KernelNotices, generation
from dockerfw.kernel.runner import SystemRunner
from dockerfw.model.policy import Needs
from dockerfw.operations.session import Session
from dockerfw.state.store import Store

DOCKER_PATIENCE = 10.0
"""Seconds that one answer of Docker may take before it counts as gone."""


def run(docker_host: str | None, form: Form) -> int:
    """Run until SIGTERM or SIGINT; return the exit status.

    Raises `Failed` when it cannot begin or go on.
    """
    gc.enable()  # commands go without, since they end soon
    be_thrifty()
    clock = SystemClock()
    log = open_log(sys.stderr, clock, form)
    listeners = partial(listener_pids, docker_host)
    kernel = Netfilter(SystemRunner(), clock.time, listeners, ask, generation)
    session = Session(kernel, Store(), clock, docker_host, log.info)
    session.require_root()

    docker_socket = FileNotices()
    path = socket_path(docker_host)
    docker_socket.watch([path] if path else [])

    def connect() -> Docker:
        return Docker.connect(docker_host, timeout=DOCKER_PATIENCE)

    with closing(log), session.store.daemon.claim():
        edges = Edges(
            store=session.store,
            reconciler=session.reconciler,
            kernel=kernel,
            clock=clock,
            log=log,
            systemd=Systemd(),
            worker=Worker(),
            docker=Watcher(connect, Needs(), clock),
            # Listened to before anything is read, so that nothing falls in between.
            notices=KernelNotices(),
            addresses=AddressNotices(),
            files=FileNotices(),
            docker_socket=docker_socket,
            dockerd=FileNotices(),
            names=Resolver(clock),
        )
        return Daemon(edges).run()
