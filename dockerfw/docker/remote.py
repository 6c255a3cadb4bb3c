"""The API of an engine on another host, by tcp or ssh: for commands that only record.

The only module that uses the ``docker`` package, which takes longer to import than a command takes
otherwise: it is imported where such an address was named, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from docker import APIClient
from docker.errors import DockerException
from docker.utils import kwargs_from_env, parse_host
from requests.exceptions import Timeout

from dockerfw.docker.api import Answer, EngineError
from dockerfw.errors import Failed


class RemoteEngine:
    """Where paths of an engine's API are asked for; ``timeout`` is in seconds, for each answer.

    Raises `Failed` where the address cannot be used, else `EngineError` and OSError.
    """

    def __init__(self, url: str, where: str, timeout: float) -> None:
        options = _options(url, where)
        with _plain():
            self._client = APIClient(version="auto", timeout=timeout, **options)  # type: ignore[arg-type]

    def get(self, path: str) -> Answer:
        with _plain():
            client = self._client
            found = client.get(f"{client.base_url}{path}", timeout=client.timeout)
            return Answer(found.status_code, found.reason, found.content)

    def close(self) -> None:
        self._client.close()


def is_address(url: str) -> bool:
    """Return True for an address that the package can read."""
    try:
        return bool(parse_host(url))
    except (DockerException, ValueError):
        return False


def _options(url: str, where: str) -> dict[str, Any]:
    """The client's arguments for this address."""
    if url.startswith("ssh:"):
        if find_spec("paramiko") is None:  # the docker package wants it, even for /usr/bin/ssh
            raise Failed(
                f"{where} needs the Python package paramiko: install it, or run `dockerfw"
                " inventory` on that host and copy what it prints"
            )
        return {"base_url": url, "use_ssh_client": True}
    try:
        return dict(kwargs_from_env(environment={**os.environ, "DOCKER_HOST": url}))
    except DockerException as error:
        raise Failed(
            f"cannot use the certificates for {where}: DOCKER_CERT_PATH (else ~/.docker) has to"
            " hold ca.pem, cert.pem and key.pem"
        ) from error


@contextmanager
def _plain() -> Iterator[None]:
    """Raise errors that are known without the package."""
    try:
        yield
    # The client also trips over configuration files of the user that are not what it expects.
    except (DockerException, Timeout, TypeError, AttributeError) as error:
        if _timed_out(error):
            raise TimeoutError(str(error)) from error
        raise EngineError(str(error)) from error


def _timed_out(error: BaseException | None) -> bool:
    """While it agrees on a version, the client wraps whatever goes wrong."""
    while error is not None and not isinstance(error, (Timeout, TimeoutError)):
        error = error.__cause__ or error.__context__
    return error is not None
