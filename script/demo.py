"""A small shop on a real Docker engine, seen from outside, before dockerfw and after.

Everything lives in network namespaces that end with this program. Exit status 1 when what the
outside could reach afterwards is not what config.example.toml says, or README.md shows a screen
that is not one of these.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.engine import Engine, EngineContainer
from tests.lab.host import HOST_V4, HOST_V6, Host
from tests.lab.place import Probe, probe

TOP = Path(__file__).resolve().parents[1]
CONFIG = TOP / "config.example.toml"
# In README.md: what a command printed here, with … for lines that are left out.
SCREEN = re.compile(r"^<!-- demo: ([^>\n]*) -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What is another number each time.
COUNTED = re.compile(r"\d+ (s ago|packets?\b|set entries) *")
PROJECT = "shop"
SERVICES = {
    # service: what it publishes, and where it listens itself
    "proxy": ("8080:80", 80),
    "app": ("8000:8000", 8000),
    "db": ("5432:5432", 5432),
    "admin": ("127.0.0.1:9090:80", 80),
}
OFFICE = ("198.51.100.7", "2001:db8:10::7")
STRANGER = ("203.0.113.9", "2001:db8:1::9")
# Who may reach a service by config.example.toml: (the office, a stranger).
EXPECTED = {
    "proxy": (True, True),
    "app": (True, False),
    "db": (True, False),
    "admin": (True, False),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a service: how people call it, and where its packets go."""

    service: str
    words: str
    address: str
    port: int

    @property
    def local(self) -> bool:
        return self.address.startswith("127.")

    @property
    def expected(self) -> tuple[bool, bool]:
        """What is published on 127.0.0.1 is for this host alone, whoever may have the service."""
        return (False, False) if self.local else EXPECTED[self.service]

    def source(self, caller: tuple[str, str]) -> str:
        return caller[":" in self.address]


def ways(addresses: Mapping[str, str]) -> list[Way]:
    """Return every way to every service, whose container's address is given by its name."""
    found = []
    for service, (published, port) in SERVICES.items():
        *address, host_port, _ = published.split(":")
        outer = int(host_port)
        if address:
            found.append(Way(service, f"{address[0]}:{outer}, by a neighbour", address[0], outer))
        else:
            found.append(Way(service, f"{HOST_V4}:{outer}", HOST_V4, outer))
            found.append(Way(service, f"[{HOST_V6}]:{outer}, docker-proxy", HOST_V6, outer))
        own = addresses[service]
        found.append(Way(service, f"{own}:{port}, directly", own, port))
    return found


def look(host: Host, all_ways: list[Way]) -> list[tuple[bool, bool]]:
    """For each way: does it answer the office, does it answer a stranger."""
    usual = [way for way in all_ways if not way.local]
    callers = (OFFICE, STRANGER)
    answers = probe(
        [
            Probe(host.outside, "tcp", way.address, way.port, way.source(caller))
            for way in usual
            for caller in callers
        ]
    )
    seen = iter(answer.outcome == "answered" for answer in answers)
    rows = []
    for way in all_ways:
        if way.local:
            office, stranger = (
                host.outside.syn(way.address, way.port, source=way.source(caller))
                for caller in callers
            )
        else:
            office, stranger = next(seen), next(seen)
        rows.append((office, stranger))
    return rows


def table(
    all_ways: list[Way], before: list[tuple[bool, bool]], after: list[tuple[bool, bool]]
) -> list[str]:
    words = {True: "open", False: "-"}
    lines = [
        f"{'':<12} {'':<34} {'before':^15}  {'after':^15}",
        f"{'container':<12} {'way in':<34} {'office':<6} {'stranger':<8}  {'office':<6} stranger",
    ]
    service = ""
    for way, old, new in zip(all_ways, before, after, strict=True):
        name = "" if way.service == service else f"shop-{way.service}-1"
        service = way.service
        lines.append(
            f"{name:<12} {way.words:<34} {words[old[0]]:<6} {words[old[1]]:<8}  "
            f"{words[new[0]]:<6} {words[new[1]]}"
        )
    return [line.rstrip() for line in lines]


def start_shop(engine: Engine) -> dict[str, EngineContainer]:
    network = f"{PROJECT}_default"
    named = ("-o", f"com.docker.network.bridge.name=br-{PROJECT}")
    engine.docker("network", "create", *named, network)
    containers = {}
    for service, (published, port) in SERVICES.items():
        labels = [f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}"]
        options = [word for label in labels for word in ("--label", label)]
        containers[service] = engine.container(
            f"{PROJECT}-{service}-1",
            *("--network", network, "-p", published),
            *options,
            env={"PORT": str(port)},
        )
    return containers


def act(host: Host, *arguments: str) -> tuple[int, str]:
    """Run dockerfw and show what it says; its exit status, and what it printed."""
    print(f"\n$ dockerfw {' '.join(arguments)}")
    sys.stdout.flush()
    done = host.dockerfw(*arguments, check=False)
    print((done.stdout + done.stderr).rstrip())
    return done.returncode, done.stdout


def shows(screen: str, printed: str) -> bool:
    """Return True if the lines of a screen are among those printed, in order, cut at each …."""
    shown, lines = (COUNTED.sub(r"N \1", text).splitlines() for text in (screen, printed))
    at = 0
    for part in _parts(shown):
        starts = range(at, len(lines) - len(part) + 1)
        found = next((n for n in starts if lines[n : n + len(part)] == part), None)
        if found is None:
            return False
        at = found + len(part)
    return True


def _parts(lines: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == "…":
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def main() -> int:
    with Host() as host, Engine(host, "20.10") as engine:
        version = engine.docker("version", "--format", "{{.Server.Version}}")
        print(f"Docker {version.partition('+')[0]} in a network namespace of its own:")
        print(f"  host      {HOST_V4}   {HOST_V6}")
        print(f"  office    {OFFICE[0]}  {OFFICE[1]}")
        print(f"  stranger  {STRANGER[0]}   {STRANGER[1]}")
        shop = start_shop(engine)
        all_ways = ways({service: container.address for service, container in shop.items()})
        before = look(host, all_ways)
        host.write("/etc/dockerfw/config.toml", CONFIG.read_text(encoding="utf-8"), 0o600)
        acts = {"audit": 0, "plan": 3, "apply --yes": 0}
        done = {command: act(host, *command.split()) for command in acts}
        after = look(host, all_ways)
        acts["denied"] = 0
        done["denied"] = act(host, "denied")
    print()
    print("\n".join(table(all_ways, before, after)))
    wrong = [
        f"{way.service} by {way.words}"
        for way, seen in zip(all_ways, after, strict=True)
        if seen != way.expected
    ]
    wrong += [f"dockerfw {one}" for one, status in acts.items() if done[one][0] != status]
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    wrong += [
        f"README.md shows another screen of `dockerfw {command}`"
        for command, screen in SCREEN.findall(readme)
        if not shows(screen, done[command][1])
    ]
    for what in wrong:
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
