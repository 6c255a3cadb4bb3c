"""Mistakes of the command line -> one sentence each, with the one command that was meant.

Takes what was typed, and click's own errors; gives text. Prints nothing and runs nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import click

from dockerfw.text import listed, similar_words

_DENY = "write a [[deny]] into the policy, then run `dockerfw apply`; all at once: lockdown"
_ALLOW = (
    "write an [[allow]] into the policy, then run `dockerfw apply`; for a while: "
    "`dockerfw allow 203.0.113.7 web:80 --for 2h`, say"
)
_CLOSE = (
    "what nothing allows is closed: take its [[allow]] out of the policy, then run `dockerfw "
    "apply`; all at once: `dockerfw lockdown`"
)
_UNLOCK = "a lockdown ends with the next `dockerfw apply`"
_UNITS = "the units of docs/operations.md do that, by systemctl"
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "run `dockerfw status`": (
        "list", "ls", "show", "ps", "info", "state", "stats", "counters", "top", "rules", "ports",
    ),
    "run `dockerfw apply`": (
        "reload", "restart", "refresh", "sync", "update", "up", "load", "commit", "deploy", "set",
    ),
    "run `journalctl -u dockerfw`": ("log", "logs", "tail", "follow", "events", "journal"),
    "run `dockerfw denied`": ("denials", "dropped", "drops", "blocked", "rejected", "refused"),
    "run `dockerfw check`": ("validate", "lint", "test", "verify", "configtest", "syntax"),
    "run `dockerfw plan`": ("diff", "preview", "dry-run", "dryrun", "simulate", "what-if"),
    "run `dockerfw explain`": ("why", "trace", "query", "can", "reach", "simulate-packet"),
    "run `dockerfw remove`": ("uninstall", "flush", "reset", "destroy", "purge", "clear", "down"),
    "run `dockerfw lockdown`": ("panic", "panic-on", "emergency", "lock", "close-all", "block-all"),
    "run `dockerfw status --watch`": ("monitor", "watch"),
    "run `dockerfw audit`": ("doctor", "scan", "inspect", "exposed", "diagnose"),
    _CLOSE: ("close", "unpublish", "unexpose"),
    _UNLOCK: ("unlock", "unlockdown", "panic-off"),
    'write mode = "observe" or "enforce" below [firewall] of the policy, then run `dockerfw '
    "apply`": ("mode", "observe", "enforce", "learn", "complain", "permissive"),
    "run `dockerfw --version`": ("version",),
    "run `dockerfw --help`": ("help", "commands", "usage", "man"),
    _DENY: (
        "ban", "block", "deny", "drop", "reject", "blacklist", "banip", "blocklist", "denylist",
    ),
    _ALLOW: (
        "open", "accept", "permit", "add", "whitelist", "allowlist", "allow-list", "insert",
        "expose", "publish",
    ),
    "take its lines out of the policy, then run `dockerfw apply`": (
        "delete", "del", "rm", "unban", "unblock", "revoke",
    ),
    _UNITS: ("enable", "start", "install", "persist", "save", "run", "serve"),
    "the daemon ends by `systemctl stop dockerfw`, and its rules stay; all of it goes by "
    "`dockerfw remove`": ("stop", "disable", "off", "kill"),
    "run `dockerfw rollback`; an apply that nobody confirmed goes back by itself": (
        "undo", "revert", "restore", "back",
    ),
    "`dockerfw init` prints a first policy for what runs": (
        "generate", "new", "setup", "wizard",
    ),
    "edit /etc/dockerfw/config.toml, then run `dockerfw plan`": (
        "edit", "config", "configure", "policy", "rule", "import",
    ),
}  # fmt: skip
OTHERS_WORDS: Mapping[str, str] = {
    word: meant for meant, words in _COMMANDS.items() for word in words
}
"""What other tools call it, and what to do here."""

_SAME: Mapping[str, tuple[str, ...]] = {
    "--yes": ("-y", "--force", "-f", "--assume-yes", "--auto-approve", "-auto-approve"),
    "--config": ("-f", "--file", "--policy", "--conf", "-p"),
    "--json": ("-j", "--format", "--output", "-o"),
    "--docker-host": ("--host", "--socket", "--url"),
    "--confirm": ("--timeout", "--rollback", "--try"),
    "--end": ("--remove", "--delete", "--rm", "-d"),
    "--reason": ("--comment", "--message", "-m"),
    "--since": ("--last", "--after"),
    "--verbose": ("-vv", "--debug"),
    "--quiet": ("--silent", "-s"),
}  # fmt: skip
_DRY = ("--dry-run", "-n", "--check", "--diff", "--noop", "--simulate", "--dryrun")
_WRITERS = ("", "allow", "apply", "lockdown", "plan", "remove", "rollback")
"""Commands of which somebody may want to see first what they would do."""
_TO_STDOUT = "it prints: `dockerfw {0} > FILE`"
_LIST = "`dockerfw allow` alone lists what is open for a while"
_SYSTEMCTL = "run `systemctl start dockerfw`; in the foreground: `dockerfw daemon`"
_ONE_BACK = "it goes back to the policy before, and once more goes further: `dockerfw rollback`"
_WATCH = "run `dockerfw status --watch`"
_FOLLOW = "run `journalctl -fu dockerfw`"
_PLAIN = "colours are left out by `NO_COLOR=1` in the environment"
_KERNEL_TEXT = "the kernel text is shown by `dockerfw plan -v`"
_WITHOUT_OPTION: Mapping[tuple[str, str], str] = {
    ("status", "-w"): _WATCH,
    ("status", "--follow"): _WATCH,
    ("allow", "--list"): _LIST,
    ("allow", "-l"): _LIST,
    ("allow", "--until"): "here it is --for, with a time: `--for 2h`",
    ("daemon", "-d"): _SYSTEMCTL,
    ("daemon", "--detach"): _SYSTEMCTL,
    ("daemon", "--foreground"): "it stays there anyway: `dockerfw daemon`",
    ("denied", "-n"): "all rows are shown by `dockerfw denied --verbose`",
    ("denied", "--all"): "all rows are shown by `dockerfw denied --verbose`",
    ("explain", "--from"): "who comes first: `dockerfw explain 203.0.113.7 web:80`",
    ("explain", "--to"): "who comes first: `dockerfw explain 203.0.113.7 web:80`",
    ("init", "--force"): "init never writes over a file: move that one away",
    ("init", "-f"): "here it is -o; over a file init never writes",
    ("inventory", "-o"): _TO_STDOUT.format("inventory"),
    ("inventory", "--output"): _TO_STDOUT.format("inventory"),
    ("schema", "-o"): _TO_STDOUT.format("schema"),
    ("schema", "--output"): _TO_STDOUT.format("schema"),
    ("lockdown", "--off"): _UNLOCK,
    ("rollback", "--to"): _ONE_BACK,
    ("apply", "-v"): _KERNEL_TEXT,
    ("apply", "--verbose"): _KERNEL_TEXT,
    ("", "--follow"): _FOLLOW,
    ("", "--no-color"): _PLAIN,
    ("", "--no-colour"): _PLAIN,
}
"""What to do for an option that a command ("": any) does not have."""
_WITHOUT_ARGUMENTS: Mapping[str, str] = {
    "daemon": _SYSTEMCTL,
    "history": "it lists; what is another thing than then shows `dockerfw plan --since {}`",
    "init": "a file stands behind -o: `dockerfw init -o {}`",
    "inventory": _TO_STDOUT.format("inventory"),
    "lockdown": f"it closes everything at once; {_UNLOCK}",
    "rollback": _ONE_BACK,
    "schema": _TO_STDOUT.format("schema"),
    "status": "`dockerfw status`; one port is shown by explain",
}
_IN_FORCE = "goes by the policy in force, wherever that came from"


def unknown_command(typed: Sequence[str], known: Iterable[str]) -> str:
    """Return what was meant by a command that is none, and its arguments."""
    word, *rest = typed
    lower = word.lower()
    names = sorted(known)
    if lower == "help" and rest and rest[0] in names:
        return f"run `dockerfw {rest[0]} --help`"
    if lower in names:
        return f"commands are written small: run `{_line(lower, *rest)}`"
    if lower in OTHERS_WORDS:
        return f'there is no command "{word}": {OTHERS_WORDS[lower]}'
    near = similar_words(lower, names, limit=1)
    if near:
        return f'there is no command "{word}": did you mean `{_line(near[0], *rest)}`?'
    return f'there is no command "{word}"; there are {listed(names, limit=len(names))}'


def sentence(error: click.UsageError, typed: Sequence[str]) -> str:
    """Return an error of click's as one sentence; ``typed`` is the whole command line."""
    context = error.ctx
    name = context.command.name if context is not None and context.parent is not None else None
    command = context.command if context is not None and name is not None else None
    if isinstance(error, click.NoSuchOption):
        if command is None:
            return _option_before_command(error.option_name, typed, context)
        return _unknown_option(error, command, typed)
    if isinstance(error, click.MissingParameter) and name == "explain":
        return _explain_half(typed)
    if name == "completion" and not isinstance(error, click.NoSuchOption):
        return "completion takes the name of a shell: `dockerfw completion bash`, or zsh, or fish"
    if command is not None and "unexpected extra argument" in error.message:
        return _too_many(command, typed)
    text = error.format_message().rstrip(".")
    if name is None and typed and not typed[0].startswith("-"):
        name = typed[0]  # of an option without its value click does not tell whose it is
    return f"{text[:1].lower()}{text[1:]}; {_help(name)}"


def without_value(command: click.Command, typed: Sequence[str]) -> str | None:
    """Return what to say where another option stands in the place of an option's value, which
    click would take for that value; ``typed`` is what stands behind the command.
    """
    wanting = {
        word
        for parameter in command.params
        if isinstance(parameter, click.Option) and not (parameter.is_flag or parameter.count)
        for word in parameter.opts
    }
    own = _options(command)
    for word, following in pairwise(typed):
        if word == "--":
            return None
        if word in wanting and following in own:
            name = command.name
            return f"{word} takes a value, and {following} is an option of {name}; {_help(name)}"
    return None


def _help(command: str | None) -> str:
    return f"see `dockerfw {command} --help`" if command else "see `dockerfw --help`"


def _line(*words: str) -> str:
    return f"dockerfw {shlex.join(words)}"


def _option_before_command(option: str, typed: Sequence[str], context: click.Context | None) -> str:
    group = context.command if context is not None else None
    commands = group.commands if isinstance(group, click.Group) else {}
    at = next((i for i, word in enumerate(typed) if word in commands), None)
    if option in _DRY:
        return "what an apply would change is shown by `dockerfw plan`, and nothing is written"
    if at is not None:
        name, before, after = typed[at], typed[:at], typed[at + 1 :]
        if option in _options(commands[name]):
            return f"options stand behind the command: `{_line(name, *before, *after)}`"
        return _foreign_option(option, commands[name], typed)
    if option in ("-V", "-v"):
        return "run `dockerfw --version`"
    return f"there is no option {option} without a command; see `dockerfw --help`"


def _unknown_option(error: click.NoSuchOption, command: click.Command, typed: Sequence[str]) -> str:
    options = sorted(word for word in _options(command) if word.startswith("--"))
    begin_so = [word for word in options if word.startswith(error.option_name)]
    own = next(iter([*begin_so, *similar_words(error.option_name, options, limit=1)]), None)
    meant = _foreign_option(error.option_name, command, typed)
    if meant.endswith(_help(command.name)) and own:
        return f"{command.name} has no option {error.option_name}: did you mean {own}?"
    return meant


def _foreign_option(option: str, command: click.Command, typed: Sequence[str]) -> str:
    """Return what to write for an option that this command does not have."""
    name = command.name or ""
    if option in _DRY and name in _WRITERS:
        if name == "plan":
            return f"plan writes nothing, and needs no {option}: `dockerfw plan`"
        return "what an apply would change is shown by `dockerfw plan`, and nothing is written"
    if option in ("-c", "--config"):
        file = _value_of(option, typed) or "FILE"
        return (
            f"{name} {_IN_FORCE}: run `dockerfw {name}`; another file is put in force by "
            f"`{_line('apply', '-c', file)}`"
        )
    if option in ("-V", "--version"):
        return "run `dockerfw --version`"
    own = _own_word_for(option, command, typed)
    if own is not None:
        return f"{name} has no option {option}: here it is {own}"
    if option in ("--yes", *_SAME["--yes"]) and (name, option) not in _WITHOUT_OPTION:
        return f"{name} asks nothing, and has no option {option}: `dockerfw {name}`"
    step = _WITHOUT_OPTION.get((name, option)) or _WITHOUT_OPTION.get(("", option))
    return f"{name} has no option {option}" + (f": {step}" if step else f"; {_help(name)}")


def _own_word_for(option: str, command: click.Command, typed: Sequence[str]) -> str | None:
    """Return the option of this command that others call so."""
    own = [word for word, others in _SAME.items() if option in others and word in _options(command)]
    if "--config" in own and not (_value_of(option, typed) or "-").startswith("-"):
        return "--config"  # -f with a file behind it means no --force
    return own[0] if own else None


def _options(command: click.Command) -> set[str]:
    return {word for parameter in command.params for word in parameter.opts}


def _value_of(option: str, typed: Sequence[str]) -> str | None:
    """Return the word behind an option, or behind its ``=``."""
    for at, word in enumerate(typed):
        if word == option and at + 1 < len(typed):
            return typed[at + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _explain_half(typed: Sequence[str]) -> str:
    words = [word for word in typed[1:] if not word.startswith("-")]
    one = words[0] if words else "203.0.113.7"
    is_source = one.count(":") > 1 or one[:1].isdigit() or one in ("any", "host")
    pair = (one, "web:80") if is_source else ("203.0.113.7", one)
    return f"explain takes a source and a target: `{_line('explain', *pair)}`, say"


def _too_many(command: click.Command, typed: Sequence[str]) -> str:
    name = command.name or ""
    words = [word for word in typed[typed.index(name) + 1 :] if not word.startswith("-")]
    if name == "allow":
        return (
            "allow takes one source and one target, the port behind its container: `dockerfw "
            "allow 203.0.113.7 web:80 --for 2h`, say"
        )
    if name == "explain" and len(words) == 3:
        source, target, port = words
        return (
            f"a port stands behind its container: `{_line('explain', source, f'{target}:{port}')}`"
        )
    if name == "explain":
        return "explain takes one source and one target: `dockerfw explain 203.0.113.7 web:80`, say"
    if name == "probe":
        return "probe takes one target, and who asks by --from: `dockerfw probe web:80 --from any`"
    if name == "plan" and words[0].isdigit():
        return f"a policy of the history stands behind --since: `dockerfw plan --since {words[0]}`"
    if name in _WITHOUT_ARGUMENTS:
        return (
            f"{name} takes no arguments: {_WITHOUT_ARGUMENTS[name].format(shlex.quote(words[0]))}"
        )
    file = next((word for word in words if word.endswith(".toml")), None)
    if file and "--config" in _options(command):
        return f"a file stands behind -c: `{_line(name, '-c', file)}`"
    return f"{name} takes no arguments: `dockerfw {name}`"
