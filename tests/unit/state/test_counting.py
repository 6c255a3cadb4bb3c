"""Since when packets are counted is kept as long as the counters are, and never made up."""

from __future__ import annotations

from pathlib import Path

from dockerfw.state.store import Store


def test_it_is_kept_in_the_folder_that_ends_with_the_counters(tmp_path: Path) -> None:
    store = Store(tmp_path / "state", tmp_path / "run")
    assert store.counting.since() is None
    store.counting.begin(1_780_000_000.5)
    assert Store(tmp_path / "state", tmp_path / "run").counting.since() == 1_780_000_000.5
    assert not (tmp_path / "state").exists()


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    store = Store(tmp_path / "state", tmp_path / "run")
    (tmp_path / "run").mkdir()
    for text in ("", "[]", "{}", '{"since": "yesterday"}'):
        (tmp_path / "run/counters.json").write_text(text)
        assert store.counting.since() is None
