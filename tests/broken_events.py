"""Lines of an event stream that make no sense, by what is wrong with them."""

from __future__ import annotations

BROKEN = {
    "no JSON": b"{nonsense\n",
    "a list": b"[]\n",
    "null": b"null\n",
    "no type": b'{"Action": "start", "Actor": {"ID": "x"}}\n',
    "no actor": b'{"Type": "container", "Action": "start"}\n',
    "an id that is a number": b'{"Type": "container", "Action": "die", "Actor": {"ID": 7}}\n',
    "attributes that are a list": (
        b'{"Type":"container","Action":"die","Actor":{"ID":"x","Attributes":[1]}}\n'
    ),
    "not text": b"\xff\xfe\xfa\n",
    "deep": b"[" * 100_000 + b"\n",
    "a new kind": b'{"Type": "gadget", "Action": "start", "Actor": {"ID": "x"}}\n',
    "a new action": b'{"Type": "container", "Action": "teleport", "Actor": {"ID": "x"}}\n',
}
