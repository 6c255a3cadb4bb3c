"""What `remove` leaves: everything that stood before the first commit, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

import pytest

from dockerfw.errors import Failed
from dockerfw.model.net import FAMILIES
from dockerfw.model.policy import Policy
from tests.build import allow, deny, long_list, policy
from tests.lab.place import Probe, disagreements
from tests.packets.scene import Scene, docker_rules

Flavour: TypeAlias = Literal["nft", "legacy"]


def _bare(scene: Scene) -> None:
    """A host on which nobody has written a rule."""


def _docker(scene: Scene) -> None:
    scene.restore(4, docker_rules(4))


def _docker_in_both_families(scene: Scene) -> None:
    scene.restore(4, docker_rules(4))
    scene.restore(6, docker_rules(6, "DROP"))


def _neighbours(scene: Scene) -> None:
    """Docker, and a rule of somebody else's in every chain that dockerfw touches."""
    _docker_in_both_families(scene)
    scene.host.run(["ipset", "create", "theirs", "hash:ip", "counters"])
    scene.host.run(["ipset", "add", "theirs", "192.0.2.200"])
    for family in FAMILIES:
        scene.restore(family, _FOREIGN)
    scene.iptables(4, "-A", "INPUT", "-m", "set", "--match-set", "theirs", "src", "-j", "DROP")
    scene.host.run(["nft", "-f", "-"], stdin=_FOREIGN_TABLE)


_FOREIGN = """\
*mangle
:THEIRS - [0:0]
-A PREROUTING -i wg0 -j MARK --set-xmark 0x7/0xff
-A PREROUTING -j THEIRS
-A THEIRS -p tcp -m tcp --dport 9 -j TOS --set-tos 0x10/0xff
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
:THEIRS - [0:0]
-I FORWARD 1 -i wg0 -o wg0 -j DROP
-A FORWARD -i wg0 -o wg0 -j ACCEPT
-A FORWARD -j THEIRS
-I DOCKER-USER 1 -p tcp -m tcp --dport 9 -m comment --comment "not \\"ours\\"" -j DROP
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -i wg0 -j THEIRS
-A OUTPUT -p tcp -m tcp --dport 9 -j REJECT
-A THEIRS -m mark --mark 0x7/0xff -j LOG --log-prefix "dockerfw? "
COMMIT
"""
_FOREIGN_TABLE = """\
table inet theirs {
  set dockerfw { type ipv4_addr; elements = { 192.0.2.1 } }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ip saddr @dockerfw counter drop
  }
}
"""

_SETTINGS: list[Callable[[Scene], None]] = [_bare, _docker, _docker_in_both_families, _neighbours]


def _policies() -> tuple[Policy, Policy]:
    """Two that between them use all kinds of sets and rules."""
    few = policy(allow("198.51.100.0/24", "2001:db8:10::/48", to="db", ports=5432))
    many = policy(
        allow(long_list("long.netset"), to="web", ports="all"),
        allow("iface:wg0", "bridge", to="web", ports="all"),
        allow("any", published="1024-60000"),
        deny(long_list("long.netset")),
        baseline=(),
    )
    return few, many


def standing(scene: Scene) -> dict[str, str]:
    """All that netfilter holds, without counters.

    A table of iptables-legacy that was once asked for stays, empty, until the namespace ends:
    empty tables are left out.
    """
    texts = {
        " ".join(argv): scene.host.run(argv).stdout
        for argv in (
            ["iptables-save"],
            ["ip6tables-save"],
            ["ipset", "save"],
            ["nft", "--stateless", "list", "ruleset"],
        )
    }
    plain = {
        name: re.sub(r" \[\d+:\d+\]|^#.*\n| packets \d+ bytes \d+", "", text, flags=re.MULTILINE)
        for name, text in texts.items()
    }
    if scene.host.legacy:
        empty = re.compile(r"\*\w+\n(:\w+ ACCEPT\n)*COMMIT\n")
        plain = {name: empty.sub("", text) for name, text in plain.items()}
    return plain


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
@pytest.mark.parametrize("setting", _SETTINGS, ids=lambda one: one.__name__.strip("_"))
def test_remove_leaves_what_stood_before(
    setting: Callable[[Scene], None], flavour: Flavour
) -> None:
    with Scene(flavour=flavour, docker=False) as scene:
        setting(scene)
        before = standing(scene)
        for one in _policies():
            assert scene.commit(one).steps
        assert standing(scene) != before
        scene.reconciler.remove()
        assert standing(scene) == before


def test_remove_by_a_later_process_that_remembers_nothing_leaves_foreign_rules_alone() -> None:
    """The state folder is lost: what dockerfw made beside its own objects then stays, unused."""
    with Scene() as scene:
        before = standing(scene)
        scene.commit(policy())
        scene.host.run(["rm", "-rf", "/var/lib/dockerfw"])
        scene.reconciler.remove()
        after = standing(scene)
        assert "DOCKERFW" not in "".join(after.values())
        assert "dockerfw" not in "".join(after.values())
        for name in ("iptables-save", "ipset save"):
            missing = set(before[name].splitlines()) - set(after[name].splitlines())
            assert not missing


@pytest.mark.parametrize("flavour", ["nft", "legacy"])
def test_what_others_have_come_to_use_stays(flavour: Flavour) -> None:
    """DOCKER-USER for IPv6 was dockerfw's; then somebody put a rule of his own in."""
    with Scene(flavour=flavour) as scene:
        scene.commit(policy())
        scene.iptables(6, "-A", "DOCKER-USER", "-p", "tcp", "--dport", "9", "-j", "DROP")
        scene.reconciler.remove()
        saved = scene.saved(6)
        assert "-A DOCKER-USER -p tcp -m tcp --dport 9 -j DROP" in saved
        assert "-A FORWARD -j DOCKER-USER" in saved
        assert "DOCKERFW" not in saved


@pytest.mark.parametrize("flavour", ["nft", pytest.param("legacy", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["DOCKERFW(old)", "DOCKERFW~", "grün", 'q"x', "b\\s"])
def test_names_that_dockerfw_never_gives_are_somebody_elses(name: str, flavour: Flavour) -> None:
    with Scene(flavour=flavour) as scene:
        scene.iptables(4, "-N", name)
        scene.host.run(["ipset", "create", f"dockerfw-{name}", "hash:ip"])
        before = standing(scene)
        scene.commit(policy())
        scene.iptables(4, "-A", name, "-p", "tcp", "-j", "DOCKERFW-OK")
        scene.commit(policy(allow("any", to="db", ports=5432)))
        used = standing(scene)
        with pytest.raises(Failed, match="leads to DOCKERFW-OK, and its name cannot be written"):
            scene.reconciler.remove()
        assert standing(scene) == used
        scene.iptables(4, "-F", name)
        scene.reconciler.remove()
        assert standing(scene) == before


def test_a_set_that_others_use_keeps_no_empty_tables() -> None:
    with Scene(docker=False) as scene:
        before = standing(scene)
        scene.commit(policy())
        scene.host.run(["ipset", "create", "theirs", "list:set"])
        scene.host.run(["ipset", "add", "theirs", "dockerfw-guarded4"])
        with pytest.raises(Failed, match="dockerfw-guarded4"):
            scene.reconciler.remove()
        assert standing(scene)["iptables-save"] == before["iptables-save"]


def test_the_jump_of_docker_that_had_to_be_moved_stays_at_the_top() -> None:
    """Beside that nothing is changed: the rule that stood above it is not ours to move."""
    above = "-A FORWARD -i wg0 -o wg0 -j ACCEPT\n"
    with Scene() as scene:
        scene.iptables(4, "-I", "FORWARD", "1", "-i", "wg0", "-o", "wg0", "-j", "ACCEPT")
        before = standing(scene)["iptables-save"]
        scene.commit(policy())
        scene.reconciler.remove()
        jump = "-A FORWARD -j DOCKER-USER\n"
        assert above + jump in before
        assert standing(scene)["iptables-save"] == before.replace(above + jump, jump + above)


def test_after_remove_everything_is_as_open_as_before() -> None:
    with Scene() as scene:
        probe = Probe(scene.outside, "tcp", "172.18.0.3", 5432)
        assert disagreements([(probe, True)]) == []
        scene.commit(policy())
        assert disagreements([(probe, False)]) == []
        scene.reconciler.remove()
        assert disagreements([(probe, True)]) == []


def test_removing_twice_is_no_error() -> None:
    with Scene() as scene:
        before = standing(scene)
        scene.commit(policy())
        scene.reconciler.remove()
        scene.reconciler.remove()
        assert standing(scene) == before
