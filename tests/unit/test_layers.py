"""The layers hold: no module of the package breaks a rule of ``tests/layers.py``.

And the rules hold: each line of `OFFENCES` would be let through by a rule that reads imports and
beginnings of texts alone.
"""

from __future__ import annotations

import ast

import pytest

from tests.layers import (
    FOR_PEOPLE,
    FOUNDATION,
    HELD_APART,
    LIBRARIES,
    PROGRAM_NAMED,
    ROOMS,
    Module,
    broken_rules,
)
from tests.paths import PACKAGE

MODULES = [
    Module(path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text()))
    for path in sorted(PACKAGE.rglob("*.py"))
]
OFFENCES = [
    # layers
    ("plan/x.py", "from dockerfw.kernel.runner import run"),
    ("plan/x.py", "import dockerfw.kernel.runner"),
    ("plan/x.py", "import dockerfw\ndockerfw.kernel.runner.run()"),
    ("plan/x.py", "from dockerfw import kernel"),
    ("plan/x.py", "from ..kernel import runner"),
    ("plan/x.py", "from dockerfw.plan.steps import *"),
    ("plan/x.py", "import importlib\nimportlib.import_module('dockerfw.kernel.runner')"),
    ("operations/x.py", "from importlib import import_module as get\nget('dockerfw.cli')"),
    ("plan/x.py", "__import__('dockerfw.kernel.runner')"),
    ("plan/x.py", "load = __import__\nload('dockerfw.kernel.runner')"),
    ("operations/x.py", "exec('import dockerfw.cli')"),
    ("operations/x.py", "import runpy"),
    ("text.py", "from dockerfw.model.net import Family"),
    ("kernel/ipset/x.py", "from dockerfw.kernel.nft import render"),
    ("kernel/ipset/x.py", "from dockerfw.kernel import nft"),
    ("kernel/nft/x.py", "import dockerfw.kernel.iptables.parse as p"),
    ("policy/parser.py", "from dockerfw.policy.files import load"),
    ("policy/parser.py", "from dockerfw.policy import files"),
    # pure rooms touch nothing
    ("rules/x.py", "open('/etc/passwd')"),
    ("rules/x.py", "import io\nio.open('/etc/passwd')"),
    ("rules/x.py", "import random"),
    ("rules/x.py", "import os"),
    ("rules/x.py", "import socket\nsocket.create_connection(('a', 1))"),
    ("rules/x.py", "import socket as s\nsend = s\nsend.create_connection(('a', 1))"),
    ("rules/x.py", "from pathlib import Path"),
    ("report/x.py", "import sys\nsys.stdout.write('a')"),
    ("policy/files.py", "import socket"),
    # clocks
    ("rules/x.py", "from dockerfw.clock import SystemClock\nSystemClock().time()"),
    ("operations/x.py", "from dockerfw.clock import SystemClock as C\nC().time()"),
    ("operations/x.py", "from dockerfw import clock\nclock.SystemClock()"),
    ("rules/x.py", "import datetime\ndatetime.datetime.now(tz)"),
    ("daemon/x.py", "import datetime as d\nd.datetime.now(tz)"),
    ("daemon/x.py", "from datetime import datetime as d\nd.today()"),
    ("daemon/x.py", "from datetime import date\ngetattr(date, 'today')()"),
    ("daemon/x.py", "from datetime import datetime\nclass D(datetime): ...\nD.now()"),
    ("daemon/x.py", "import time as t\nt.time()"),
    ("daemon/x.py", "from time import gmtime, localtime, clock_gettime"),
    ("daemon/x.py", "import os\nos.times()"),
    # processes
    ("operations/x.py", "import subprocess"),
    ("operations/x.py", "import os\nos.system('ls')"),
    ("operations/x.py", "import os as o\no.posix_spawn('/bin/ls', ['ls'], {})"),
    ("operations/x.py", "from os import fork"),
    ("operations/x.py", "import os\nrun = os.execv"),
    ("operations/x.py", "import asyncio\nasyncio.create_subprocess_exec('ls')"),
    ("operations/x.py", "import multiprocessing"),
    ("operations/x.py", "import pty"),
    # Docker's socket
    ("docker/x.py", "import docker"),
    ("docker/remote.py", "import http.client as h\nh.HTTPConnection('a')"),
    ("docker/details.py", "import docker\ndocker.from_env()"),
    ("docker/details.py", "from docker import from_env as make\nmake()"),
    ("docker/details.py", "from docker.api.client import APIClient\nAPIClient()"),
    ("docker/details.py", "from docker import APIClient as A\nclass B(A): ..."),
    ("docker/event_stream.py", "from http.client import HTTPConnection as H\nH('a')"),
    ("operations/x.py", "import socket\nsocket.socket(socket.AF_UNIX).connect('/run/docker.sock')"),
    ("docker/details.py", "import docker\nMAKE = docker.from_env"),
    ("docker/details.py", "from docker import APIClient\nmap(APIClient, ['a'])"),
    ("docker/event_stream.py", "from http.client import HTTPConnection\nMAKE = HTTPConnection"),
    # what another module has imported
    ("operations/x.py", "from dockerfw.clock import time"),
    ("operations/x.py", "from dockerfw import clock as c\nc.time.time()"),
    ("operations/x.py", "from dockerfw.kernel.runner import subprocess"),
    ("operations/x.py", "from dockerfw.docker.connection import docker"),
    ("operations/x.py", "from dockerfw.docker.connection import HTTPConnection"),
    ("operations/x.py", "from dockerfw.docker import connection\nconnection.docker.from_env()"),
    ("operations/x.py", "import shutil\nshutil.os.system('ls')"),
    ("operations/x.py", "import tempfile\ntempfile._os.system('ls')"),
    ("operations/x.py", "from shutil import os as o"),
    ("rules/x.py", "import dataclasses\ndataclasses.sys.stdout.write('a')"),
    # names that are made at run time
    ("operations/x.py", "import sys\nsys.modules['subprocess'].run(['ls'])"),
    ("operations/x.py", "import os\ngetattr(os, 'sys' + 'tem')('ls')"),
    ("operations/x.py", "import os\nget = getattr\nget(os, 'system')('ls')"),
    ("operations/x.py", "import os, functools\nfunctools.partial(getattr, os)('system')"),
    ("operations/x.py", "import os\nos.__dict__['system']('ls')"),
    ("operations/x.py", "import os\nos.__getattribute__('system')('ls')"),
    ("operations/x.py", "import os\n(os if a else b).system('ls')"),
    ("operations/x.py", "import os\n(a or os).system('ls')"),
    ("operations/x.py", "import os\n(o := os).system('ls')"),
    ("operations/x.py", "import os\no, p = os, 1\no.system('ls')"),
    ("operations/x.py", "import os\ndef f(a, o=os, *, p=os): o.system('ls')"),
    ("operations/x.py", "import os\ndef f(*, o=os): o.system('ls')"),
    # libraries with one place
    ("operations/x.py", "import click"),
    ("daemon/loop.py", "from prometheus_client import Gauge"),
    ("policy/x.py", "import dns.resolver"),
    # words for people
    ("daemon/x.py", "any(step.tool == 'nft' for step in steps)"),
    ("daemon/x.py", "getattr(step, 'tool') == 'nft'"),
    ("daemon/x.py", "match step:\n    case WriteSets(tool='nft'): ..."),
    ("plan/x.py", "step.why == 'elements'"),
    ("plan/x.py", "match step:\n    case WriteSets(why='elements'): ..."),
    (
        "plan/x.py",
        "from dockerfw.plan.steps import WriteSets as W\nmatch s:\n    case W('elements'): ...",
    ),
    ("plan/x.py", "rule.comment.startswith('deny')"),
    # names of chains, sets and tables
    ("kernel/x.py", "x = '-A DOCKERFW-IN'"),
    ("kernel/x.py", "x = 'nft list table inet dockerfw'"),
    ("kernel/x.py", "x = f'nft list table {family} dockerfw'"),
    ("kernel/x.py", "x = 'add dockerfw-pub4 x'"),
    ("kernel/x.py", "x = b'add dockerfw-pub4 x'"),
    ("kernel/x.py", "x = f'dockerfw-{topic}4'"),
    ("plan/x.py", "x = 'DOCKERFW' + '-IN'"),
    ("kernel/x.py", "argv = ['nft', 'list', 'table', 'inet', 'dockerfw']"),
    ("kernel/x.py", "table = ('inet', 'dockerfw')"),
    ("kernel/x.py", "name.startswith('dockerfw-')"),
    ("kernel/x.py", "'%s-pub4' % 'dockerfw'"),
    ("kernel/x.py", "'dockerfw%s' % '-pub4'"),
    ("kernel/x.py", "x = f'dockerfw{end}'"),
    ("kernel/x.py", "x = b'dockerfw'"),
]
TRUE = [
    ("rules/x.py", "import socket\nsocket.inet_pton(socket.AF_INET, 'a')"),
    ("policy/x.py", "import sys\nsys.version_info >= (3, 11)"),
    ("policy/x.py", "from pathlib import PurePosixPath"),
    ("report/x.py", "from datetime import datetime\ndatetime.fromtimestamp(1)"),
    ("plan/x.py", '"""The table ``inet dockerfw``."""'),
    ("cli/x.py", "x = 'DOCKERFW_DEBUG=1'"),
    ("cli/x.py", "x = 'see dockerfw status'"),
    ("daemon/log.py", "x = 'dockerfw'"),
    ("daemon/x.py", "import os, signal\nsignal.signal(1, f)\nos.path.join('a', 'b')"),
    ("docker/x.py", "getattr(error, 'strerror', None)"),
    ("plan/x.py", "match w:\n    case AddElements(name, elements): ..."),
    ("rules/x.py", "def f(time: int): return time.real"),
]


def test_every_folder_and_every_module_beside_them_is_listed() -> None:
    assert {m.room for m in MODULES if m.room} == set(ROOMS)
    assert {m.name.removesuffix(".py") for m in MODULES if not m.room} == set(FOUNDATION)


def test_no_two_rooms_import_each_other() -> None:
    for room, below in ROOMS.items():
        for other in below:
            assert room not in ROOMS[other], f"{room} and {other}"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_every_module_keeps_the_rules(module: Module) -> None:
    assert broken_rules(module) == []


@pytest.mark.parametrize(("name", "text"), OFFENCES)
def test_an_offence_is_found(name: str, text: str) -> None:
    assert broken_rules(Module(name, ast.parse(text)))


@pytest.mark.parametrize(("name", "text"), TRUE)
def test_what_is_allowed_is_no_offence(name: str, text: str) -> None:
    assert broken_rules(Module(name, ast.parse(text))) == []


def test_every_place_that_is_named_exists() -> None:
    listed = [*LIBRARIES.values(), *HELD_APART.values(), *FOR_PEOPLE.values(), PROGRAM_NAMED]
    places = {place for held in listed for place in held}
    assert [place for place in places if not any(m.name.startswith(place) for m in MODULES)] == []
