"""Where things stand in this repository."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
EXAMPLE = REPOSITORY / "config.example.toml"
FIXTURES = REPOSITORY / "tests" / "fixtures"
PACKAGE = REPOSITORY / "dockerfw"
