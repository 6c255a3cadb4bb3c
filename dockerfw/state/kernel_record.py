"""What dockerfw put into the kernel, as far as the kernel cannot show it by itself.

Takes and gives values; reads and writes below ``/var/lib/dockerfw`` only::

    created.json  chains and tables that bear no name of ours and were made by dockerfw
    seal.nft      the seal as a document for ``nft``
"""

from __future__ import annotations

from dataclasses import asdict

from dockerfw.plan.steps import Created
from dockerfw.state.folder import Folder

_CREATED = "created.json"


class KernelRecord:
    """What was made in the kernel, and the seal to load after a flush."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def created(self) -> frozenset[Created]:
        found = self._folder.read_json(_CREATED)
        try:
            return frozenset(Created(**one) for one in found.get("created", ()))
        except (TypeError, AttributeError):
            return frozenset()

    def remember_created(self, created: tuple[Created, ...]) -> None:
        """Add these. Raises `Failed`.

        To be called before the kernel is written: a crash in between must not hide who made it.
        """
        known = self.created()
        everything = known | set(created)
        if everything != known:
            self._folder.make()
            entries = sorted((asdict(one) for one in everything), key=str)
            self._folder.write_json(_CREATED, {"created": entries})

    def keep_seal(self, document: str) -> None:
        """Keep the seal for scripts that flush the ruleset: they include it. Raises `Failed`."""
        self._folder.write_if_changed("seal.nft", document)
