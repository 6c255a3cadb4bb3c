"""What all tests share: marks by folder, a host to throw away, and how hypothesis runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from pathlib import Path

import pytest
from hypothesis import settings

from dockerfw.kernel.runner import Completed, SystemRunner
from tests.lab.host import Host

_MARKS = {"packets": "lab", "browser": "lab", "engine": "engine"}
_FIREWALL = frozenset(
    f"{family}tables{flavour}{part}"
    for family in ("ip", "ip6")
    for flavour in ("", "-nft", "-legacy")
    for part in ("", "-save", "-restore")
) | {"ipset", "nft", "sysctl", "modprobe"}

# How long an example takes says more about the machine than about the code.
settings.register_profile("dockerfw", deadline=None, print_blob=True)
settings.load_profile("dockerfw")


@pytest.hookimpl(tryfirst=True)  # before ``-m`` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        mark = _MARKS.get(item.path.relative_to(here).parts[0])
        if mark is not None:
            item.add_marker(mark)
        quick = item.get_closest_marker("quick_where")
        if quick is not None and not _holds(quick.kwargs["holds"], item):
            item.add_marker("slow")


def _holds(condition: Callable[..., bool], item: pytest.Item) -> bool:
    """Whether it does of the parameters of this row: it names those that it asks."""
    assert isinstance(item, pytest.Function)
    row = item.callspec.params
    return condition(**{name: row[name] for name in signature(condition).parameters})


@pytest.fixture(scope="module", autouse=True)
def _firewall_of_this_machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse, in tests that have no host of their own, the programs that would touch this one's.

    Those tests may run as root, and a mistake in one must not close anything here.
    """
    if request.path.relative_to(Path(__file__).parent).parts[0] not in ("unit", "edges"):
        yield
        return
    run = SystemRunner.run

    def refusing(
        self: SystemRunner, argv: Sequence[str], stdin: str | None = None, timeout: float = 60
    ) -> Completed:
        assert Path(argv[0]).name not in _FIREWALL, f"{argv} would touch this machine's firewall"
        return run(self, argv, stdin, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemRunner, "run", refusing)
        yield


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        yield host
