"""``install-units``: which files are laid, replaced, kept, and taken out again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dockerfw.errors import Failed
from dockerfw.operations.unit_files import (
    Folders,
    Installation,
    Laid,
    lay,
    refuse_packaged,
    services,
    take_out,
)
from tests.paths import REPOSITORY

NAMES = {
    "dockerfw.service",
    "dockerfw-boot.service",
    "dockerfw-list@.service",
    "dockerfw-list@.timer",
    "dockerd.slice",
    "dockerfw.conf",
}
PROGRAM = Path("/usr/bin/env")  # a program of root's that every host has


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A host with systemd and no package."""
    found = Folders(
        tmp_path / "units", tmp_path / "modules", (tmp_path / "packaged",), tmp_path / "running"
    )
    found.units.mkdir()
    found.running.mkdir()
    return found


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(PROGRAM, PROGRAM, REPOSITORY / "packaging", tmp_path / "share")


def done(laid: list[Laid]) -> set[str]:
    return {file.done for file in laid}


def text(folders: Folders, name: str = "dockerfw.service") -> str:
    return (folders.units / name).read_text(encoding="utf-8")


def test_every_unit_is_laid_and_a_second_time_none(
    folders: Folders, installation: Installation
) -> None:
    laid = lay(folders, installation)
    assert {file.path.name for file in laid} == NAMES
    assert done(laid) == {"wrote"}
    assert services(laid) == ["dockerfw-boot.service", "dockerfw.service"]
    assert (folders.modules / "dockerfw.conf").stat().st_mode & 0o777 == 0o644
    assert done(lay(folders, installation)) == {"unchanged"}


def test_the_units_start_this_program_and_lead_to_its_documents(
    folders: Folders, installation: Installation
) -> None:
    lay(folders, installation)
    for name in ("dockerfw.service", "dockerfw-boot.service", "dockerfw-list@.service"):
        assert str(PROGRAM) in text(folders, name)
        assert "/usr/bin/dockerfw" not in text(folders, name)
    assert "man:dockerfw(1) file:///usr/share/doc/dockerfw/docs/operations.md\n" in text(folders)
    docs, page = installation.share / "doc/dockerfw", installation.share / "man/man1/dockerfw.1"
    for path in (docs, page.parent):
        path.mkdir(parents=True)
    page.touch()
    assert done(lay(folders, installation)) == {"replaced", "unchanged"}
    assert f"man:{page} file://{docs}/docs/operations.md\n" in text(folders)


def test_what_an_earlier_version_wrote_is_replaced(
    folders: Folders, installation: Installation
) -> None:
    lay(folders, installation)
    before = text(folders)
    lay(folders, Installation(Path("/bin/true"), PROGRAM, installation.shipped, installation.share))
    assert text(folders) != before
    assert "replaced" in done(lay(folders, installation))
    assert text(folders) == before


def test_an_edited_unit_is_named_and_nothing_is_written(
    folders: Folders, installation: Installation
) -> None:
    lay(folders, installation)
    edited = folders.units / "dockerd.slice"
    edited.write_text(edited.read_text() + "[Slice]\nMemoryMax=1G\n")
    (folders.units / "dockerfw.service").unlink()
    with pytest.raises(Failed, match=rf"^{edited}: .* edited since; nothing was changed"):
        lay(folders, installation)
    assert not (folders.units / "dockerfw.service").exists()
    with pytest.raises(Failed, match="edited since"):
        take_out(folders, installation)
    assert "MemoryMax" in edited.read_text()


def test_a_unit_that_somebody_has_masked_stays_so(
    folders: Folders, installation: Installation
) -> None:
    (folders.units / "dockerfw.service").symlink_to("/dev/null")
    with pytest.raises(Failed, match="not by this command"):
        lay(folders, installation)
    assert (folders.units / "dockerfw.service").is_symlink()


def test_where_a_package_brings_them_they_are_the_packages(folders: Folders) -> None:
    refuse_packaged(folders)
    (packaged,) = folders.packaged
    packaged.mkdir()
    (packaged / "dockerfw.service").touch()
    with pytest.raises(Failed, match="a package brings the units"):
        refuse_packaged(folders)


def test_without_systemd_nothing_is_written(folders: Folders, installation: Installation) -> None:
    folders.running.rmdir()
    with pytest.raises(Failed, match="systemd does not run here"):
        lay(folders, installation)
    assert not any(folders.units.iterdir())


@pytest.mark.parametrize("folder", ["/home/ann/.local/bin", "/root/.local/bin", "/run/user/1"])
@pytest.mark.parametrize("what", ["program", "python"])
def test_what_the_units_do_not_see_they_cannot_run(
    folders: Folders, installation: Installation, folder: str, what: str
) -> None:
    hidden = Path(folder) / "dockerfw"
    program, python = (hidden, PROGRAM) if what == "program" else (PROGRAM, hidden)
    with pytest.raises(Failed, match=f"neither /home nor /root nor /tmp, and {hidden} is there"):
        lay(folders, Installation(program, python, installation.shipped, installation.share))


@pytest.mark.parametrize("name", ["a b", "a$b", "100%", "a\nb"])
def test_a_path_that_means_something_to_systemd_is_refused(
    folders: Folders, installation: Installation, name: str
) -> None:
    odd = Installation(Path("/opt") / name, PROGRAM, installation.shipped, installation.share)
    with pytest.raises(Failed, match="cannot stand in a unit"):
        lay(folders, odd)


def test_a_program_that_others_could_replace_is_not_run_as_root(
    folders: Folders, installation: Installation
) -> None:
    # Not below /tmp, which the units do not see.
    with TemporaryDirectory(dir="/dev/shm") as folder:
        program = Path(folder) / "dockerfw"
        loose = Installation(program, PROGRAM, installation.shipped, installation.share)
        with pytest.raises(Failed, match=f"{program} cannot be read: No such file"):
            lay(folders, loose)
        program.touch()
        program.chmod(0o775)
        said = f"would run {program} as root, but this file can be written by its group"
        with pytest.raises(Failed, match=said):
            lay(folders, loose)
        program.chmod(0o755)
        assert done(lay(folders, loose)) == {"wrote"}


def test_a_folder_that_cannot_be_written_is_named(
    folders: Folders, installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    modules = tmp_path / "file" / "modules-load.d"
    with pytest.raises(Failed, match=f"{modules}/dockerfw.conf cannot be"):
        lay(replace(folders, modules=modules), installation)


def test_taken_out_nothing_is_left_and_a_second_time_nothing_is_there(
    folders: Folders, installation: Installation
) -> None:
    lay(folders, installation)
    assert {file.path.name for file in take_out(folders, installation)} == NAMES
    assert not any(folders.units.iterdir())
    assert not any(folders.modules.iterdir())
    assert take_out(folders, installation) == []


@pytest.mark.parametrize(
    "link",
    ["multi-user.target.wants/dockerfw.service", "timers.target.wants/dockerfw-list@x.timer"],
)
def test_what_is_enabled_is_not_taken_out(
    folders: Folders, installation: Installation, link: str
) -> None:
    lay(folders, installation)
    wants = folders.units / link
    wants.parent.mkdir()
    wants.symlink_to("anywhere")
    with pytest.raises(Failed, match=f"`systemctl disable --now {wants.name}` first"):
        take_out(folders, installation)
    assert {path.name for path in folders.units.glob("*") if path.is_file()} > {"dockerd.slice"}


def test_while_docker_waits_for_the_units_they_stay(
    folders: Folders, installation: Installation
) -> None:
    lay(folders, installation)
    waits = folders.units / "docker.service.d" / "own.conf"
    waits.parent.mkdir()
    waits.write_text("[Unit]\nAssertPathExists=/run/dockerfw/booted\n")
    with pytest.raises(Failed, match=f"with {waits} Docker does not start"):
        take_out(folders, installation)
    waits.write_text("[Unit]\n# AssertPathExists=/run/dockerfw/booted\n")
    assert take_out(folders, installation)
