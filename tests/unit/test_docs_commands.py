"""Every command that the documents show is run by a test, and every policy in them is valid."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from dockerfw.policy.document import Document
from dockerfw.policy.parser import parse
from tests.documents import PAGES, Block, blocks
from tests.paths import DOCS, PACKAGE, REPOSITORY
from tests.references import literals

BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [block for block in BLOCKS if block.language == "sh"]
POLICIES = [block for block in BLOCKS if block.language == "toml"]
# What begins a line that is to be typed.
_TYPED = re.compile(
    r"^(?:[#$] )?(?:apt|dockerfw|docker|systemctl|journalctl|script/|sudo) ?", re.MULTILINE
)
# What fragments of a page go by that define no list of their own.
KNOWN = Document("conf.d/known.toml", b'[sources]\noffice = "198.51.100.0/24"\n')


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_every_block_of_commands_names_the_file_that_runs_it(block: Block) -> None:
    file = REPOSITORY / block.run_by
    assert file.is_file(), "<!-- run by: FILE --> is missing above it"
    text = file.read_text(encoding="utf-8")
    assert f'"{block.page}"' in text or all(
        line in text.splitlines() for line in block.text.splitlines()
    ), f"{block.run_by} runs neither this page nor these lines"


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.language], ids=str)
def test_commands_stand_in_blocks_of_commands(block: Block) -> None:
    assert _TYPED.findall(block.text) == []


@pytest.mark.parametrize("block", POLICIES, ids=str)
def test_every_policy_is_valid(block: Block) -> None:
    def lists(_document: str, _path: str) -> bytes:
        return b"192.0.2.0/24\n"

    documents = [Document(block.page, block.text.encode())]
    parse([*documents, *([] if "\noffice = " in block.text else [KNOWN])], lists)


# --- troubleshooting.md, by messages --------------------------------------------------------------

# **`message`** or `message` within a bold beginning of a paragraph.
SYMPTOMS = [
    message
    for bold in re.findall(
        r"^\*\*(.+?)\*\*", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE
    )
    for message in re.findall(r"`([^`]+)`", bold)
]
# Said by systemd, and commands that fail.
OF_OTHERS = {"Assertion failed", "systemctl reload dockerfw", "dockerfw denied", "explain"}


@cache
def texts() -> str:
    """Every text in the package, one below the other."""
    modules = [ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
    return "\n".join(text for module in modules for text, _ in literals(module))


@pytest.mark.parametrize("message", sorted(set(SYMPTOMS) - OF_OTHERS))
def test_every_message_in_the_page_for_trouble_is_one_of_the_program(message: str) -> None:
    assert message in texts()


def test_the_page_for_trouble_goes_by_messages() -> None:
    assert len(SYMPTOMS) > 12
