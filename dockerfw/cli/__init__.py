"""The command line: parse, call, print. Every use case is in ``dockerfw.operations``.

What a command needs is imported when it runs, so that ``dockerfw --help`` and the command that
closes everything at boot do not wait for what they never use.
"""
