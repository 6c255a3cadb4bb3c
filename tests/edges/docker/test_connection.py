"""Which socket is connected to, and every error of it as one sentence."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NoReturn

import pytest
from docker.errors import DockerException
from requests.exceptions import Timeout

from dockerfw.docker.client import Docker
from dockerfw.docker.connection import listener_pids, plain_errors
from dockerfw.errors import Failed
from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Needs
from tests.edges.docker.answers import (
    attempt,
    connected,
    read,
)
from tests.fakeengine import FakeEngine
from tests.paths import REPOSITORY


@pytest.mark.parametrize(
    ("api", "minimum"), [("1.41", "1.12"), ("1.45", "1.24"), ("1.52", "1.44"), ("1.55", "1.40")]
)
def test_every_engine_is_spoken_to_in_a_version_that_it_knows(
    engine: FakeEngine, api: str, minimum: str
) -> None:
    engine.about.update(ApiVersion=api, MinAPIVersion=minimum)
    with connected(engine) as docker:
        assert docker.engine.api_version == api
        docker.read_inventory({}, Needs())
    assert engine.asked["/networks"] == 1


def test_the_socket_is_the_one_of_the_option_then_of_the_environment(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    Docker.connect().close()
    Docker.connect("").close()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    Docker.connect(engine.url).close()
    with pytest.raises(Failed, match="remote"):
        Docker.connect()


@pytest.mark.parametrize(
    "url", ["tcp://192.0.2.1:2376", "ssh://ops@docker.example", "https://192.0.2.1:2376"]
)
def test_a_remote_engine_is_refused(url: str) -> None:
    with pytest.raises(Failed, match=r"remote engine.*dockerfw inventory -H "):
        Docker.connect(url)


class RemoteClient:
    """In place of the ``docker`` package's: what it was made with, and what it answers by path."""

    made: ClassVar[list[dict[str, Any]]] = []
    info: ClassVar[dict[str, Any]] = {}
    base_url = "https://docker.example:2376"
    timeout = 5

    def __init__(self, **options: Any) -> None:
        self.made.append(options)

    def get(self, url: str, timeout: float) -> SimpleNamespace:
        assert timeout == self.timeout
        answers = {
            "/version": {"Version": "28.5.2", "ApiVersion": "1.51", "Os": "linux"},
            "/v1.51/info": {"OSType": "linux", "KernelVersion": "2.6.32", **self.info},
        }
        found = answers.get(url.removeprefix(self.base_url))
        status = 404 if found is None else 200
        return SimpleNamespace(
            status_code=status, reason="", content=json.dumps(found or {"message": "no"}).encode()
        )

    def close(self) -> None:
        self.made.clear()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> type[RemoteClient]:
    monkeypatch.setattr("dockerfw.docker.remote.APIClient", RemoteClient)
    monkeypatch.setattr(RemoteClient, "made", [])
    return RemoteClient


def test_a_remote_engine_may_be_recorded(
    remote: type[RemoteClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "tcp://docker.example:2376"
    assert Docker.connect(url, remote_ok=True).engine.version == "28.5.2"
    assert remote.made[0]["base_url"] == url
    assert remote.made[0]["version"] == "auto"
    monkeypatch.setattr(remote, "info", {"SecurityOptions": ["name=rootless"]})
    with pytest.raises(Failed, match="rootless"):
        Docker.connect(url, remote_ok=True)
    assert remote.made == [], "the connection to a refused engine stays open"


def test_an_error_of_a_remote_engine_is_one_sentence(remote: type[RemoteClient]) -> None:
    docker = Docker.connect("tcp://docker.example:2376", remote_ok=True)
    with pytest.raises(Failed, match=r"does not answer as it should: 404 : no;"):
        docker.read_inventory({}, Needs())
    assert remote.made


def test_a_remote_engine_that_does_not_answer_in_time_is_one_sentence(
    remote: type[RemoteClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> NoReturn:
        error = DockerException("wrapped")
        error.__context__ = Timeout()
        raise error

    monkeypatch.setattr(remote, "__init__", late)
    with pytest.raises(Failed, match="takes too long to answer"):
        Docker.connect("tcp://docker.example:2376", remote_ok=True)


def test_what_is_not_local_is_all_that_the_docker_package_is_imported_for(
    engine: FakeEngine,
) -> None:
    script = (
        "import sys\n"
        "from dockerfw.docker.client import Docker\n"
        "from dockerfw.model.policy import Needs\n"
        f"Docker.connect({engine.url!r}).read_inventory({{}}, Needs())\n"
        "print(*{'docker', 'requests', 'urllib3'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout == "\n"


@pytest.mark.parametrize(
    "url",
    [
        "garbage",
        "/run/docker.sock",
        "unix://",
        "unix://docker.sock",
        "npipe:////./pipe/docker_engine",
        "fd://",
        "tcp://",
        "tcp://[",
        "tcp://192.0.2.1:port",
        "://",
        " ",
        "docker\n.sock",
    ],
)
@pytest.mark.parametrize("remote_ok", [False, True])
def test_an_address_that_is_none_is_refused_with_what_to_write(
    url: str, *, remote_ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(Failed, match="is no address of Docker: write -H unix:") as caught:
        Docker.connect(remote_ok=remote_ok)
    assert "\n" not in str(caught.value)


def test_broken_certificates_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nonexistent")
    with pytest.raises(Failed, match="DOCKER_CERT_PATH"):
        Docker.connect("tcp://192.0.2.1:2376", remote_ok=True)


def test_an_engine_over_ssh_needs_a_package_that_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dockerfw.docker.remote.find_spec", lambda _: None)
    with pytest.raises(Failed, match="needs the Python package paramiko: install it"):
        Docker.connect("ssh://ops@docker.example", remote_ok=True)


def test_a_socket_that_is_forwarded_from_elsewhere_may_be_recorded(engine: FakeEngine) -> None:
    engine.info["KernelVersion"] = "2.6.32"
    Docker.connect(engine.url, remote_ok=True).close()
    with pytest.raises(Failed, match="another kernel"):
        Docker.connect(engine.url)


def test_a_missing_socket_says_how_to_start_docker(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"is Docker running\? .*systemctl start docker"):
        Docker.connect(f"unix://{tmp_path}/none.sock")


@pytest.mark.parametrize("kind", ["a file", "a dead socket", "a path too long"])
def test_nobody_behind_a_socket_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "a file":
        path.touch()
    elif kind == "a dead socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    else:
        path = tmp_path / ("x" * 200)
    with pytest.raises(Failed, match="nobody answers at") as caught:
        Docker.connect(f"unix://{path}")
    assert "\n" not in str(caught.value)


def test_who_listens_is_asked_of_the_socket_and_of_nobody_else(
    engine: FakeEngine, tmp_path: Path
) -> None:
    assert list(listener_pids(engine.url)) == [os.getpid(), os.getpid()]
    (tmp_path / "file").touch()
    for url in (f"unix://{tmp_path}/none", f"unix://{tmp_path}/file", "tcp://192.0.2.1:2375"):
        assert list(listener_pids(url)) == []


def test_no_permission_says_who_may(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(Failed, match="run as root, or as a member of the group docker"):
        Docker.connect(engine.url)


@pytest.mark.parametrize("text", ["[]", "{", '{"proxies": 7}', '{"HttpHeaders": []}'])
def test_a_broken_configuration_of_the_docker_command_is_no_traceback(
    engine: FakeEngine, tmp_path: Path, text: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    outcome = attempt(lambda: read(engine))
    assert isinstance(outcome, Inventory) or "\n" not in outcome


def test_proxies_of_the_environment_are_not_used_for_a_socket(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    read(engine)
    assert engine.asked["/networks"] == 1


@pytest.mark.parametrize(
    "where, step",
    [
        ("unix:///run/docker.sock", "see `journalctl -u docker`, then try again"),
        ("tcp://192.0.2.7:2375", "Else run `dockerfw inventory` on that host"),
    ],
)
def test_the_next_step_is_one_for_the_host_that_does_not_answer(where: str, step: str) -> None:
    with pytest.raises(Failed) as failed, plain_errors(where):
        raise ValueError("no JSON")
    assert str(failed.value).endswith(step)
