"""The cgroup that dockerd starts in, followed from the moment that it is made.

A unit's cgroup is another one at each start of Docker: systemd makes it before it starts dockerd,
which needs a while until its first docker-proxy listens. Takes notices of files; has the seal's
rules written anew by the enforcer. Asks neither Docker nor who lives in that cgroup: the next
check of everything does.
"""

from __future__ import annotations

from pathlib import Path

from dockerfw.daemon import lifecycle_lines
from dockerfw.daemon.enforcer import Enforcer
from dockerfw.daemon.reporter import Reporter
from dockerfw.daemon.schedule import Schedule
from dockerfw.daemon.transitions import Event
from dockerfw.kernel.dockerd_cgroup import folder
from dockerfw.kernel.inotify import FileNotices
from dockerfw.kernel.interface import Kernel


class DockerdHome:
    """What has to be watched stands in the facts that the enforcer goes by."""

    def __init__(
        self,
        kernel: Kernel,
        files: FileNotices,
        schedule: Schedule,
        enforcer: Enforcer,
        reporter: Reporter,
    ) -> None:
        self._kernel = kernel
        self._files = files
        self._schedule = schedule
        self._enforcer = enforcer
        self._reporter = reporter
        self._watched: tuple[Path, ...] = ()
        self._gone = False
        """The cgroup has gone, and another one may come in a moment."""

    def watch(self) -> None:
        """Watch what the facts of now name, if that is not watched already."""
        proxy = self._enforcer.facts.proxy
        told_in = () if proxy.told_in is None else (Path(proxy.told_in),)
        paths = (*(Path(folder(home)) for home in proxy.homes), *told_in)
        if paths != self._watched:
            self._watched = paths
            self._files.watch(paths)
            # What changed between the reading and the watching.
            self._schedule.happened(Event.DOCKERD_MOVED)

    def noticed(self) -> None:
        """Take notices about what is watched."""
        if self._files.read():
            self._schedule.happened(Event.DOCKERD_MOVED)

    def follow(self) -> None:
        """Bring the seal's rules in line with the cgroup of now."""
        before = self._enforcer.facts.proxy
        now = self._kernel.proxy(before)
        if before.cgroup is not None and now.cgroup is None and not self._gone:
            # A restart is the rule: to write twice would make the second write late.
            self._gone = True
            self._schedule.happened(Event.DOCKERD_GONE)
            return
        self._gone = False
        if self._enforcer.follow_dockerd(now) and before.cgroup != now.cgroup:
            self._reporter.line(lifecycle_lines.dockerd_moved(now.cgroup))
