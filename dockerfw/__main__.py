"""``python -m dockerfw``."""

from dockerfw.cli.app import main

main()
