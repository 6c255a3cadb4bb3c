from __future__ import annotations

import pytest

from tests.lab.host import Host
from tests.packets.runner import HostRunner


@pytest.fixture
def runner(host: Host) -> HostRunner:
    return HostRunner(host)
