"""The calls of Docker's API that are made, and what its errors are.

Takes a way to ask for a path; gives JSON as it came. It opens nothing: `connection` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from dockerfw.docker.json_values import Json, as_object, as_text

_OK, _NOT_FOUND = 200, 404


class EngineError(Exception):
    """Docker answers that something does not work."""


class GoneError(EngineError):
    """What was asked about does not exist, or not any more."""


class Answer(NamedTuple):
    """An answer of HTTP."""

    status: int
    reason: str
    body: bytes


class Api:
    """An engine's API, in the newest version that the engine speaks.

    ``get`` asks for a path. Each call raises what that raises, `EngineError` and ValueError.
    """

    def __init__(self, get: Callable[[str], Answer]) -> None:
        self._get = get
        self.about: Json = as_object(self._json("/version"))
        """What the engine reports of itself."""
        self.version = as_text(self.about.get("ApiVersion"))
        if not re.fullmatch(r"\d{1,3}\.\d{1,3}", self.version):
            raise ValueError("it names no version of its API")

    def path(self, path: str, query: Mapping[str, str]) -> str:
        """Return a path in this version, with its query."""
        asked = f"?{urlencode(query)}" if query else ""
        return f"/v{self.version}{path}{asked}"

    def info(self) -> Any:
        return self._ask("/info")

    def containers(self, ids: Iterable[str] = ()) -> Any:
        """Return the running ones; of ``ids``, unless there are none."""
        return self._ask("/containers/json", _filters(ids))

    def containers_text(self) -> bytes:
        """Return all running ones as JSON text."""
        return self._body(self.path("/containers/json", {}))

    def networks(self, ids: Iterable[str] = ()) -> Any:
        """Return all, or those of ``ids``, unless there are none."""
        return self._ask("/networks", _filters(ids))

    def services(self) -> Any:
        return self._ask("/services")

    def inspect_network(self, network_id: str) -> Any:
        return self._ask(f"/networks/{quote(network_id, safe=':')}")

    def inspect_container(self, container_id: str) -> Any:
        return self._ask(f"/containers/{quote(container_id, safe=':')}/json")

    def inspect_image(self, image: str) -> Any:
        return self._ask(f"/images/{quote(image, safe=':')}/json")

    def _ask(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return self._json(self.path(path, query or {}))

    def _json(self, path: str) -> Any:
        return json.loads(self._body(path))

    def _body(self, path: str) -> bytes:
        answer = self._get(path)
        if answer.status == _OK:
            return answer.body
        kind = GoneError if answer.status == _NOT_FOUND else EngineError
        raise kind(f"{answer.status} {answer.reason}: {_message(answer.body)}")


def _filters(ids: Iterable[str]) -> dict[str, str]:
    wanted = list(ids)
    return {"filters": json.dumps({"id": wanted})} if wanted else {}


def _message(body: bytes) -> str:
    try:
        return as_text(as_object(json.loads(body)).get("message"))
    except ValueError:
        return body.decode(errors="replace")
