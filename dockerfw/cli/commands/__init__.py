"""One file a command, with its name; each gives the click command as ``command``.

A new file here is a new command: ``cli/app.py`` finds it.
"""
