"""dockerfw: which sources may reach which container port, declared in TOML."""

__version__ = "0.1.0"
