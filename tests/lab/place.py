"""A place is a network namespace with a name: packets are sent from it and arrive at it.

Takes the host's agent for all that is done with sockets; starts processes only for `Place.run`,
`Place.start` and the hammer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from tests.lab import process
from tests.lab.guard import LabError
from tests.lab.packet import Packet, frame, parse
from tests.lab.process import Namespaces
from tests.lab.wait import Closable, until

Outcome: TypeAlias = Literal["answered", "connected", "refused", "unreachable", "silent"]
Question: TypeAlias = Literal["tcp", "udp", "icmp"]

PATIENCE = 1.0
_AGENT_TIMEOUT = 60.0


class Agent:
    """The pipe to a host's first process (`tests.lab.agent`).

    ``started`` are the processes that were left running in the host: it buries them at its end.
    """

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._lock = threading.Lock()
        self.started: list[subprocess.Popen[str]] = []

    def ask(self, command: str, **arguments: Any) -> Any:
        """Do one command; `LabError` with its own words when it cannot be done."""
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            msg = "the agent of this host has no pipes"
            raise LabError(msg)
        guard = threading.Timer(_AGENT_TIMEOUT, self._child.kill)
        with self._lock:
            guard.start()
            try:
                stdin.write(json.dumps({"do": command, **arguments}) + "\n")
                stdin.flush()
                line = stdout.readline()
            except (BrokenPipeError, ValueError):
                line = ""
            finally:
                guard.cancel()
        if not line:
            msg = f"the host is gone: its agent ended before or during {command!r}"
            raise LabError(msg)
        answer = json.loads(line)
        if "error" in answer:
            msg = f"{command} {arguments}: {answer['error']}"
            raise LabError(msg)
        return answer["ok"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``text`` is the name of the place that answered, if one did."""

    outcome: Outcome
    text: str = ""

    @property
    def reached(self) -> bool:
        return self.outcome in ("answered", "connected")

    def __str__(self) -> str:
        return f"{self.outcome} ({self.text})" if self.text else self.outcome


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: from a place, by a protocol, to an address and port.

    ``patience`` is in seconds; ``broadcast`` is for UDP to a broadcast address.
    """

    place: Place
    protocol: Question
    address: str
    port: int = 0
    source: str | None = None
    source_port: int | None = None
    broadcast: bool = False

    def __str__(self) -> str:
        start = f"{self.place.name} ({self.source})" if self.source else self.place.name
        return f"{start} -> {self.address} {self.port}/{self.protocol}"


def probe(probes: Sequence[Probe], patience: float = PATIENCE) -> list[Answer]:
    """Send all probes at once, from places of one host; their answers in the same order."""
    if not probes:
        return []
    questions = [
        {
            "at": one.place.space,
            "protocol": one.protocol,
            "address": one.address,
            "port": one.port,
            "source": one.source,
            "source_port": one.source_port,
            "broadcast": one.broadcast,
            "patience": patience,
        }
        for one in probes
    ]
    answers = probes[0].place.agent.ask("probe", probes=questions)
    return [Answer(cast("Outcome", a["outcome"]), a["text"]) for a in answers]


def patient(
    expected: Sequence[tuple[Probe, bool]], *, brief: float = 0.2, patience: float = 3.0
) -> list[Answer]:
    """The answers to all probes; True beside a probe says that it should be reached.

    Silence where an answer is expected may be a slow machine: those probes are sent once more,
    with ``patience``.
    """
    answers = probe([one for one, _ in expected], brief)
    again = [n for n, (_, open_) in enumerate(expected) if open_ and not answers[n].reached]
    second = probe([expected[n][0] for n in again], patience)
    for n, answer in zip(again, second, strict=True):
        answers[n] = answer
    return answers


def disagreements(
    expected: Iterable[tuple[Probe, bool]], *, brief: float = 0.2, patience: float = 3.0
) -> list[str]:
    """The probes that were answered otherwise than expected, each as a sentence.

    True: reached (answered or connected). False: not reached. As patient as `patient`.
    """
    table = list(expected)
    answers = patient(table, brief=brief, patience=patience)
    return [
        f"{one}: {answer}, but should be {'reached' if open_ else 'closed'}"
        for (one, open_), answer in zip(table, answers, strict=True)
        if answer.reached != open_
    ]


@dataclass(frozen=True, slots=True)
class Received:
    """What came to a listener of ours; ``text`` is empty for a TCP connection."""

    protocol: str
    port: int
    source: str
    source_port: int
    text: str


class Flow:
    """A connection that stays: TCP, or UDP from one and the same port."""

    def __init__(self, agent: Agent, number: int) -> None:
        self._agent, self._number = agent, number

    def ask(self, patience: float = PATIENCE) -> bool:
        """Say something; whether it was answered in time."""
        return bool(self._agent.ask("ask", flow=self._number, patience=patience))

    def close(self) -> None:
        self._agent.ask("hang_up", flow=self._number)


class Sniffer(Closable):
    """Sees the packets that arrive on one interface, before any firewall of that namespace."""

    def __init__(self, agent: Agent, number: int) -> None:
        self._agent, self._number = agent, number

    def seen(self) -> list[Packet]:
        """Those since the last call."""
        frames = self._agent.ask("sniffed", sniffer=self._number)
        packets = (parse(b64decode(data)) for data in frames)
        return [packet for packet in packets if packet is not None]

    def close(self) -> None:
        self._agent.ask("unsniff", sniffer=self._number)


@dataclass(frozen=True, slots=True)
class Blows:
    """What a hammer did: connections tried, and accepted for each ``ADDRESS PORT``."""

    tries: int
    accepted: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.accepted.values())


class Hammer(Closable):
    """Connects as fast as it can until `stop`, its time or its number of tries is over."""

    def __init__(
        self,
        place: Place,
        targets: Sequence[tuple[str, int, str | None]],
        seconds: float,
        tries: int,
    ) -> None:
        self._process = place.start(
            [sys.executable, "-S", "-c", "from tests.lab.hammer import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
        )
        self._say(json.dumps({"targets": targets, "seconds": seconds, "tries": tries}))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Blows:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            msg = "the hammer ended without a count"
            raise LabError(msg)
        return Blows(**json.loads(line))

    def count(self) -> Blows:
        """The count so far (the hammer must still be at work)."""
        self._say("")
        return self._hear()

    def go_on(self, tries: int = 600, seconds: float = 30) -> Blows:
        """Let it try so many times more in the state as it is now; the count then."""
        begun = self.count().tries
        until(lambda: self.count().tries > begun + tries, "the hammer to go on", seconds)
        return self.count()

    def stop(self) -> Blows:
        """End it; the whole count."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
            return self._hear()
        finally:
            self.close()

    def close(self) -> None:
        process.end(self._process)


class Place:
    """A network namespace of a host; ``space`` is what its agent calls it."""

    def __init__(self, agent: Agent, name: str, space: str, namespaces: Namespaces) -> None:
        self.agent = agent
        self.name = name
        self.space = space
        self.namespaces = namespaces

    # --- asking --------------------------------------------------------------------------------

    def tcp(
        self, address: str, port: int, *, source: str | None = None, patience: float = PATIENCE
    ) -> Answer:
        return probe([Probe(self, "tcp", address, port, source)], patience)[0]

    def udp(
        self,
        address: str,
        port: int,
        *,
        source: str | None = None,
        source_port: int | None = None,
        broadcast: bool = False,
        patience: float = PATIENCE,
    ) -> Answer:
        question = Probe(self, "udp", address, port, source, source_port, broadcast)
        return probe([question], patience)[0]

    def ping(
        self, address: str, *, source: str | None = None, patience: float = PATIENCE
    ) -> Answer:
        return probe([Probe(self, "icmp", address, 0, source)], patience)[0]

    def flow(
        self,
        protocol: Literal["tcp", "udp"],
        address: str,
        port: int,
        *,
        source: str | None = None,
        patience: float = 3.0,
    ) -> Flow:
        """Open a connection that stays; `LabError` when it does not come about."""
        number = self.agent.ask(
            "flow",
            at=self.space,
            protocol=protocol,
            address=address,
            port=port,
            source=source,
            patience=patience,
        )
        if number is None:
            msg = f"no connection from {self.name} to {address} {port}/{protocol}"
            raise LabError(msg)
        return Flow(self.agent, number)

    def hammer(
        self,
        *targets: tuple[str, int] | tuple[str, int, str],
        seconds: float = 120,
        tries: int = 10_000_000,
    ) -> Hammer:
        """Connect to all targets (address, port, and a source if not the usual) in turn."""
        whole = [(t[0], t[1], t[2] if len(t) == 3 else None) for t in targets]
        return Hammer(self, whole, seconds, tries)

    # --- answering -----------------------------------------------------------------------------

    def listen(self, *ports: str, address: str = "::") -> None:
        """Answer on ``80/tcp``, ``53/udp``, … on every address of this place, or on one."""
        wanted = [(port.partition("/")[2], int(port.partition("/")[0])) for port in ports]
        self.agent.ask("listen", at=self.space, name=self.name, ports=wanted, address=address)

    def quiet(self) -> None:
        """Close every listener of this place."""
        self.agent.ask("quiet", at=self.space)

    def received(self) -> list[Received]:
        """What came to the listeners of this place since the last call."""
        return [Received(*row) for row in self.agent.ask("received", at=self.space)]

    # --- the wire ------------------------------------------------------------------------------

    def mac(self, interface: str) -> bytes:
        return bytes.fromhex(self.agent.ask("mac", at=self.space, interface=interface))

    def forge(
        self,
        *packets: Packet,
        mac: bytes,
        via: str = "eth0",
        tags: bytes = b"",
        own_mac: bytes | None = None,
    ) -> None:
        """Put packets on the wire as they are; ``mac`` is the next hop's.

        ``tags`` stand before the type of the packet; ``own_mac`` is the one to claim.
        """
        ours = own_mac or self.mac(via)
        frames = [b64encode(frame(packet, ours, mac, tags)).decode() for packet in packets]
        self.agent.ask("forge", at=self.space, interface=via, frames=frames)

    def forge_frame(self, whole: bytes, *, via: str = "eth0") -> None:
        """Put a frame of any kind on the wire, its header included."""
        frames = [b64encode(whole).decode()]
        self.agent.ask("forge", at=self.space, interface=via, frames=frames)

    def sniff(self, interface: str = "eth0") -> Sniffer:
        return Sniffer(self.agent, self.agent.ask("sniff", at=self.space, interface=interface))

    # --- processes -----------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes | None = None,
        timeout: float = 60,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this network (and the host's files); `LabError` when it fails."""
        inside = self.namespaces.enter(argv)
        return process.run(inside, stdin=stdin, timeout=timeout, check=check, env=env)

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.DEVNULL,
        stderr: int | None = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        """Start a command in this network; it ends with the host at the latest."""
        inside = self.namespaces.enter(argv)
        child = process.start(inside, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        self.agent.started.append(child)
        return child

    def ip(self, *lines: str) -> None:
        """Commands of ``ip``, one a line, in one go."""
        self.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")

    def sysctl(self, name: str, value: str | int) -> None:
        """Set a network setting of this namespace, such as ``net.ipv4.ip_forward``."""
        path = name if "/" in name else name.replace(".", "/")
        self.agent.ask("sysctl", at=self.space, name=path, value=str(value))
