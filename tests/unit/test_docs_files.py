"""Every file that the documents name exists; architecture.md has every file of the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from dockerfw.model.policy import Source
from tests.documents import links
from tests.paths import DOCS, PACKAGE, REPOSITORY

DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md"), REPOSITORY / "packaging" / "README.md"]
)
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
# `folder/`, `folder/file.py`, `file.md`; NAME and ROOM stand for any name.
_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:json|md|py|toml|txt)))`")
# Files of hosts, users and other programs, not of this repository.
_ELSEWHERE = {"daemon.json"}


def exists(path: str) -> bool:
    """Return True for a path from the top, or a file of the package, a document, a golden host."""
    pattern = re.sub(r"\b[A-Z]{4,}\b", "*", path).rstrip("/")
    folders = (PACKAGE, DOCS, REPOSITORY / "tests" / "golden")
    return any(REPOSITORY.glob(pattern)) or any(any(top.rglob(pattern)) for top in folders)


def rooms() -> dict[str, set[str]]:
    """The files that architecture.md has in the table of each folder, by folder."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^### ", ARCHITECTURE, flags=re.MULTILINE)[1:]:
        room = re.match(r"`dockerfw/([\w/]*)`", section)
        if room:
            rows = re.findall(r"^\| `([\w/]+\.py)` \|", section, flags=re.MULTILINE)
            assert len(rows) == len(set(rows)), room[1]
            found[room[1]] = set(rows)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    text = document.read_text(encoding="utf-8")

    assert [target for target in links(text) if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_a_document_exists(document: Path) -> None:
    # The first column of a table of files is below its own folder: see the last test.
    text = re.sub(r"^\| `[^`]+\.py` \|", "", document.read_text("utf-8"), flags=re.MULTILINE)

    assert [p for p in _PATH.findall(text) if p not in _ELSEWHERE and not exists(p)] == []


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}

    assert pages - set(links(index)) == set()


def test_every_page_is_reachable_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [REPOSITORY / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            text = page.read_text(encoding="utf-8")
            ahead += [(page.parent / link).resolve() for link in links(text)]

    assert set(DOCS.rglob("*.md")) - reached == set()


def test_every_recipe_names_files_of_the_package() -> None:
    recipes = re.split(r"^### ", CONTRIBUTING.partition("## Recipes")[2], flags=re.MULTILINE)[1:]

    assert len(recipes) == 10
    for recipe in recipes:
        assert len(set(re.findall(r"`dockerfw/[\w/]+(?:\.py|/)`", recipe))) > 1, recipe


def recipe(title: str) -> set[str]:
    """The files of the package that a recipe names."""
    text = CONTRIBUTING.partition(f"### {title}")[2].partition("\n### ")[0]
    return set(re.findall(r"`dockerfw/([\w/]+\.py)`", text))


def test_the_recipe_of_a_source_kind_names_every_file_that_tells_kinds_apart() -> None:
    kinds = "|".join(kind.__name__ for kind in get_args(Source))
    files = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(rf"\b({kinds})\b", path.read_text(encoding="utf-8"))
    }

    assert files - recipe("To add a source kind") == set()


def test_the_recipe_of_a_backend_names_every_file_that_the_architecture_does() -> None:
    section = ARCHITECTURE.partition("## A second backend")[2].partition("\n## ")[0]
    files = set(re.findall(r"`(\w+/[\w/]+\.py)`", section))

    assert len(files) > 8
    assert files - recipe("To add a second kernel backend") == set()


def test_every_home_of_a_word_in_the_glossary_exists() -> None:
    homes = re.findall(r"\| `([\w/]+\.py)` \|$", GLOSSARY, flags=re.MULTILINE)

    assert [home for home in homes if not (PACKAGE / home).is_file()] == []
    assert len(homes) > 40


def test_the_architecture_has_every_file_of_the_package_in_its_room() -> None:
    in_rooms = {f"{room}{name}" for room, names in rooms().items() for name in names}
    files = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }

    assert in_rooms == files
