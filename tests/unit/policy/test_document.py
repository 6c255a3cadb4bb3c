"""Bytes that are no TOML, and the line of what is wrong with them."""

from __future__ import annotations

import pytest

from dockerfw.errors import PolicyError
from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from tests.policy_text import refused, rule


@pytest.mark.parametrize(
    "data, finding",
    [
        (b"\xef\xbb\xbf", "config.toml:1: the file starts with a byte order mark"),
        (b"\xff\xfea\0", "config.toml:1: the file starts with a byte order mark"),
        (b"# a\n# \0\n", "config.toml:2: a NUL byte"),
        (b"# a\n\n# b\xe4r\n", "config.toml:3: not UTF-8"),
        (b"#" * (16 * 1024 * 1024 + 1), "config.toml:1: the file is larger than 16 MiB"),
        (b"\n[sources\n", "config.toml:2: not valid TOML"),
        (b"a = 1\na = 2\n", "config.toml:2: not valid TOML: `a` has a value already"),
        (b"\na = [1,\n2\n", "config.toml:3: not valid TOML: `a`: its list is not closed"),
        (b"a = " + b"1" * 5000, "config.toml:1: not valid TOML: a number of thousands of digits"),
        (b"a = " + b"[" * 9000, "config.toml:1: "),
        (b"a = 1\rb = 2\n", "config.toml:1: not valid TOML"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(data: bytes, finding: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse([Document("config.toml", data)], lambda _document, _path: b"")
    assert str(caught.value).startswith(finding)


def test_a_file_that_is_broken_hides_no_names_from_the_others() -> None:
    findings = refused(rule('"office"', published="80"), {"a.toml": "[sources\n"})
    assert [finding.partition(":")[0] for finding in findings] == ["conf.d/a.toml"]
