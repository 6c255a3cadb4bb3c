"""Sdist and wheel: the same bytes each time, and all in them that an installation needs."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from pathlib import Path

from tests.install.built import Built, build
from tests.paths import DOCS, EXAMPLE, REPOSITORY

PACKAGING = REPOSITORY / "packaging"
SHIPPED = "dockerfw/shipped"


def unpacked(sdist: Path, folder: Path) -> Path:
    """The tree of an sdist, as somebody else has it: other dates, no repository around it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    for path in tree.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    # What script/setup would make there, of the same pyproject.toml.
    (tree / ".venv").symlink_to(REPOSITORY / ".venv")
    return tree


def test_the_tree_and_its_unpacked_sdist_give_the_same_bytes(built: Built, tmp_path: Path) -> None:
    again = build(unpacked(built.sdist, tmp_path / "elsewhere"), tmp_path / "again")

    assert again.sdist.read_bytes() == built.sdist.read_bytes()
    assert again.wheel.read_bytes() == built.wheel.read_bytes()


def test_the_wheel_has_every_unit_and_what_else_a_package_lays(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    files = [
        path
        for folder in ("systemd", "modules-load.d")
        for path in (PACKAGING / folder).rglob("*")
        if path.is_file()
    ]
    assert len(files) > 5
    for path in files:
        assert inside[f"{SHIPPED}/{path.relative_to(PACKAGING)}"] == path.read_bytes()
    assert inside[f"{SHIPPED}/config.example.toml"] == EXAMPLE.read_bytes()

    share = "dockerfw-0.1.0.data/data/share"
    assert json.loads(inside[f"{share}/dockerfw/policy.schema.json"])["title"] == "dockerfw policy"
    assert b".TH DOCKERFW 1" in inside[f"{share}/man/man1/dockerfw.1"]
    assert b".TH DOCKERFW.TOML 5" in inside[f"{share}/man/man5/dockerfw.toml.5"]
    for name in (
        "bash-completion/completions/dockerfw",
        "zsh/site-functions/_dockerfw",
        "fish/vendor_completions.d/dockerfw.fish",
    ):
        assert inside[f"{share}/{name}"]


def test_the_pages_in_the_wheel_lie_as_they_do_here(built: Built) -> None:
    share = "dockerfw-0.1.0.data/data/share/doc/dockerfw"
    with zipfile.ZipFile(built.wheel) as archive:
        for page in [*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")]:
            inside = f"{share}/{page.relative_to(REPOSITORY)}"
            assert archive.read(inside) == page.read_bytes()
