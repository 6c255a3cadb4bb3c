"""Lets an older hatchling build with classifiers of Pythons that came after it, as Debian 12's is.

Hatchling calls it before it reads the metadata; nothing of that is changed.
"""

from __future__ import annotations

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class KnownClassifiers(MetadataHookInterface):
    """Hatchling's hook of the metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Leave the metadata as it is."""

    def get_known_classifiers(self) -> list[str]:
        """Return those of the Pythons that are newer than Debian 12's hatchling."""
        return [f"Programming Language :: Python :: 3.{minor}" for minor in (12, 13, 14)]
