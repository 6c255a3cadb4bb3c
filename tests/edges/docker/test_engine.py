"""Which engine answers; engines that are not ours are refused in one sentence."""

from __future__ import annotations

import os
from typing import Any

import pytest

from dockerfw.docker.client import Docker
from dockerfw.errors import Failed
from dockerfw.model.policy import Needs
from tests.edges.docker.answers import (
    RECORDED,
    connected,
    play,
)
from tests.fakeengine import FakeEngine


@pytest.mark.parametrize(
    ("recorded", "backend"), [(RECORDED[0], "iptables"), (RECORDED[1], "nftables")]
)
def test_what_engine_29_says_of_itself(engine: FakeEngine, recorded: str, backend: str) -> None:
    play(engine, recorded)
    with connected(engine) as docker:
        info = docker.engine
    assert (info.version, info.api_version, info.firewall_backend) == (
        "29.9.0-dev",
        "1.56",
        backend,
    )
    assert info.swarm is None
    assert not info.live_restore


def test_an_engine_before_28_1_has_no_label_for_its_firewall(engine: FakeEngine) -> None:
    engine.info["LiveRestoreEnabled"] = True
    with connected(engine) as docker:
        assert docker.engine.firewall_backend is None
        assert docker.engine.live_restore


def test_beside_firewalld_the_label_names_both(engine: FakeEngine) -> None:
    engine.info["FirewallBackend"] = {"Driver": "nftables+firewalld"}
    with connected(engine) as docker:
        assert docker.engine.firewall_backend == "nftables"
        assert docker.read_inventory({}, Needs()).backend == "nftables"


STRANGERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "rootless Docker": (
        "rootless",
        {},
        {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]},
    ),
    "rootless Docker with more to say": (
        "rootless",
        {},
        {"SecurityOptions": ["name=rootless,profile=x"]},
    ),
    "Podman": ("Podman", {"Components": [{"Name": "Podman Engine", "Version": "4.9.4"}]}, {}),
    "Podman by its information": ("Podman", {}, {"BuildahVersion": "1.33.7"}),
    "Windows containers": ("Windows", {"Os": "windows"}, {"OSType": "windows"}),
    "Docker in a virtual machine": (
        "another kernel",
        {},
        {"KernelVersion": "3.10.0-linuxkit", "OperatingSystem": "Docker Desktop"},
    ),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_an_engine_whose_packets_do_not_pass_here_is_refused(engine: FakeEngine, case: str) -> None:
    word, version, info = STRANGERS[case]
    engine.about.update(version)
    engine.info.update(info)
    with pytest.raises(Failed, match=word) as caught:
        Docker.connect(engine.url)
    assert engine.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_that_came_back_as_another_kind_is_refused_too(engine: FakeEngine) -> None:
    with connected(engine) as docker:
        engine.info["SecurityOptions"] = ["name=rootless"]
        with pytest.raises(Failed, match="rootless"):
            docker.read_inventory({}, Needs())


@pytest.mark.parametrize(
    ("release", "theirs"), [("6.8-rc1", "6.8.0-rc1"), ("6.18.44-custom+", "6.18.44-custom+")]
)
def test_a_kernel_is_the_same_however_docker_writes_it(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, release: str, theirs: str
) -> None:
    uname = os.uname()
    fields = [uname.sysname, uname.nodename, release, uname.version, uname.machine]
    monkeypatch.setattr("os.uname", lambda: os.uname_result(fields))
    engine.info["KernelVersion"] = theirs
    Docker.connect(engine.url).close()
