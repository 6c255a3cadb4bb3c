"""JSON Schema (2020-12) of the policy, for editors that complete and check TOML by one.

Takes nothing, gives a dictionary. It describes forms, not meanings: names that must exist, host
bits, circles and list files are checked by ``policy/parser.py`` alone.
"""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from dockerfw.model.policy import DEFAULT_MARK, Committer, Mode, OnDeny, Policy
from dockerfw.policy.settings import LONGEST_RESYNC

Schema: TypeAlias = dict[str, Any]

_NUMBER = r"[1-9][0-9]{0,4}"
_RANGE = rf"{_NUMBER}(-{_NUMBER})?(/(tcp|udp|sctp))?"


def json_schema() -> Schema:
    """Return the schema of one policy file; the files of ``conf.d`` may hold a part of it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dockerfw policy",
        "description": "Which sources may reach which container port. Nothing else may.",
        **_table(
            {
                "defaults": _defaults(),
                "firewall": _firewall(),
                "daemon": _daemon(),
                "sources": _sources(),
                "allow": _list_of(_allow()),
                "deny": _list_of(_deny()),
                "expect": _list_of(_expect()),
            }
        ),
        "$defs": {
            "port": _port(),
            "published": _published(),
            "selector": _selector(),
            "source": _source(),
        },
    }


def _table(properties: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    table: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**table, "required": list(required)} if required else table


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _one_or_more(definition: str, description: str, *, empty: bool = False) -> Schema:
    """One entry, or a list of them."""
    reference = {"$ref": f"#/$defs/{definition}"}
    many = {"type": "array", "items": reference, "minItems": 0 if empty else 1}
    return {"description": description, "anyOf": [reference, many]}


def _choice(words: tuple[str, ...], default: str, description: str) -> Schema:
    return {"enum": list(words), "default": default, "description": description}


def _defaults() -> Schema:
    text = "Who may reach every port of every container that has an address of its own."
    baseline = {**_one_or_more("source", text, empty=True), "default": ["bridge"]}
    return {"description": "What holds where no rule says more.", **_table({"baseline": baseline})}


def _firewall() -> Schema:
    policy = Policy()
    properties = {
        "mode": _choice(
            get_args(Mode), policy.mode, "observe: judge, count and show everything, drop nothing."
        ),
        "on_deny": _choice(get_args(OnDeny), policy.on_deny, "What those get who are denied."),
        "mark": {
            "type": "integer",
            "minimum": 3,
            "maximum": 0xC0000000,
            "default": DEFAULT_MARK,
            "description": "Two bits of the packet mark that nobody else uses.",
        },
        "committer": _choice(
            get_args(Committer), policy.committer, "What writes the rules into the kernel."
        ),
        "log": {
            "type": "boolean",
            "default": policy.log,
            "description": "What is denied, in the kernel's log: a line a second at most.",
        },
    }
    return {"description": "How the policy is enforced.", **_table(properties)}


def _daemon() -> Schema:
    resync = {
        "type": "integer",
        "minimum": 1,
        "maximum": LONGEST_RESYNC,
        "default": Policy().resync,
        "description": "Seconds after which the daemon looks at the kernel again.",
    }
    metrics = {
        "type": "string",
        "pattern": r"^(127\.[0-9]+\.[0-9]+\.[0-9]+|\[[0:]*:0*1\]):[1-9][0-9]{0,4}$",
        "description": "Loopback address and port where Prometheus may ask, like 127.0.0.1:9567.",
    }
    metrics_file = {
        "type": "string",
        "pattern": r"^/(.*[^/])$",
        "description": "File that is written for node_exporter's textfile collector.",
    }
    properties = {"resync": resync, "metrics": metrics, "metrics_file": metrics_file}
    return {"description": "The daemon.", **_table(properties)}


def _sources() -> Schema:
    return {
        "type": "object",
        "description": "Named lists, for use in `from`. They may hold each other.",
        "propertyNames": {"pattern": r"^[\w\u0080-\uffff][\w\u0080-\uffff.-]*$"},
        "additionalProperties": _one_or_more("source", "What the name stands for."),
    }


def _rule_properties() -> Schema:
    return {
        "to": _one_or_more("selector", "Which containers. `!` in front takes out again."),
        "ports": _one_or_more("port", "Ports of the container, through whatever host port."),
        "published": _one_or_more("published", "Ports of the host, exactly these."),
        "from": _one_or_more("source", "Who."),
    }


def _not_both() -> Schema:
    return {"not": {"required": ["ports", "published"]}}


def _allow() -> Schema:
    until = {
        "type": "string",
        "format": "date-time",
        "pattern": r"(Z|z|[+-][0-9]{2}:[0-9]{2})$",
        "description": "The rule ends by itself: a date-time with a zone, without quotes, "
        "like 2027-01-31T00:00:00Z.",
    }
    return {
        "description": "Opens ports to sources. All that match add up.",
        **_table({**_rule_properties(), "until": until}, required=("from",)),
        **_not_both(),
        "anyOf": [{"required": ["to", "ports"]}, {"required": ["published"]}],
    }


def _deny() -> Schema:
    return {
        "description": "Closes ports to sources. Beats every allow and the baseline.",
        **_table(_rule_properties(), required=("from",)),
        **_not_both(),
        "dependentRequired": {"ports": ["to"]},
    }


def _expect() -> Schema:
    properties = {
        "from": {"type": "string", "description": "An address, ADDRESS@INTERFACE or a container."},
        "to": {"type": "string", "description": "NAME:PORT[/PROTOCOL], ADDRESS:PORT or :PORT."},
        "is": {"enum": ["allowed", "denied"], "description": "What must come out."},
    }
    return {
        "description": "A test of the policy: it is refused when this does not hold.",
        **_table(properties, required=("from", "to", "is")),
    }


def _port() -> Schema:
    return {
        "description": "A port of a container: 80, 53/udp, 8000-8100/tcp, icmp, published, all.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 65535},
            {"enum": ["icmp", "published", "all"]},
            {"type": "string", "pattern": f"^{_RANGE}$"},
        ],
    }


def _published() -> Schema:
    address = r"([0-9]+(\.[0-9]+){3}|\[[0-9A-Fa-f:.]+\]):"
    return {
        "description": "A port of the host: 8080, 53/udp, 192.0.2.10:443, [2001:db8::1]:443/tcp.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 65535},
            {"type": "string", "pattern": f"^({address})?{_RANGE}$"},
        ],
    }


def _selector() -> Schema:
    return {
        "description": "A container: its name with `*` as wildcard, compose:PROJECT[/SERVICE], "
        "label:KEY[=VALUE], image:NAME, network:NAME, service:NAME.",
        "type": "string",
        "pattern": r"^!?([A-Za-z0-9*][A-Za-z0-9_.*-]*"
        r"|(container|compose|label|image|network|service):.+)$",
    }


def _source() -> Schema:
    return {
        "description": "any, bridge, an IP address or CIDR, iface:NAME, lan:NAME, file:PATH, "
        "host:NAME[/64], container:NAME, compose:..., label:..., network:..., or a name from "
        "[sources]. `!` in front takes addresses out of the others.",
        "type": "string",
        # `service:` and `image:` are the words with a colon that are no source, and what goes by
        # anything but addresses is no exception.
        "pattern": r"^(?!(service|image):)"
        r"(?!!(!|any$|bridge$|(iface|container|compose|label|network|service|image):))"
        r"!?[^\s!](.*\S)?$",
    }
