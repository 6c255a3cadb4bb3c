"""TOML text -> `Policy`, every mistake with its file and line. Only `files` reads files."""
