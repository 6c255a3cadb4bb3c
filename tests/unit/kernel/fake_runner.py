"""A `Runner` that starts nothing: it answers by the words of the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dockerfw.kernel.runner import Completed, not_installed


@dataclass
class FakeRunner:
    """What is not among ``answers`` is not installed. ``ran`` are commands with their input."""

    answers: Mapping[str, str | Completed] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    ran: list[tuple[str, str | None]] = field(default_factory=list)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 60) -> Completed:
        command = " ".join(argv)
        self.ran.append((command, stdin))
        answer = self.answers.get(command)
        if answer is None:
            raise not_installed(argv[0])
        assert timeout >= 1
        return Completed(answer, "", 0) if isinstance(answer, str) else answer

    def read_file(self, path: str) -> str | None:
        return self.files.get(path)


def broken(stderr: str, status: int = 1) -> Completed:
    return Completed("", stderr, status)
