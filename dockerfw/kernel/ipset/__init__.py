"""ipset: the sets named ``dockerfw-*``."""
