"""``python -m dockerfw``."""

from dockerfw.cli import main

main()
