"""Policies as text, for tests of the parser: what one means, and what is found wrong in it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dockerfw.errors import PolicyError
from dockerfw.model.policy import Policy
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse


def read(
    text: str,
    conf_d: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> Policy:
    """Parse ``config.toml`` with drop-ins and list files that live in this test alone."""
    drop_ins = (conf_d or {}).items()
    documents = [Document("config.toml", text.encode())]
    documents += [Document(f"conf.d/{name}", body.encode()) for name, body in drop_ins]

    def read_file(_document: str, path: str) -> bytes:
        body = (files or {}).get(path)
        if body is None:
            raise FileNotFoundError(2, "No such file or directory")
        return body if isinstance(body, bytes) else body.encode()

    return parse(documents, read_file)


def refused(
    text: str,
    conf_d: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> list[str]:
    """Return the findings for which this policy is refused."""
    with pytest.raises(PolicyError) as caught:
        read(text, conf_d, files)
    return list(caught.value.findings)


def rule(source: str = '"any"', **keys: str) -> str:
    """Return the text of an ``[[allow]]``; values are TOML."""
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f"[[allow]]\n{lines}from = {source}\n"


def refusal(key: str, word: str | int) -> str:
    """Return the one finding about ``word`` as the only entry of ``key``."""
    keys = {"to": '"web"', "ports": "80", "from": '"any"'}
    if key == "published":
        del keys["ports"]
    escaped = word if isinstance(word, int) else '"' + word.replace("\\", "\\\\") + '"'
    lines = "\n".join(f"{k} = {v}" for k, v in {**keys, key: f"[{escaped}]"}.items())
    with pytest.raises(PolicyError) as caught:
        parse([Document("p", f"[[allow]]\n{lines}\n".encode())], lambda _document, _path: b"")
    [finding] = caught.value.findings
    return finding.partition(": ")[2]
