"""Entries of ``to``."""

from __future__ import annotations

import pytest

from dockerfw.model.policy import Selector
from tests.policy_text import read, refusal, rule


@pytest.mark.parametrize(
    "word, selector",
    [
        ("web", Selector("container", "web")),
        ("web-*", Selector("container", "web-*")),
        ("*", Selector("container", "*")),
        ("container:any", Selector("container", "any")),
        ("!web", Selector("container", "web", negated=True)),
        ("compose:shop", Selector("compose", "shop")),
        ("compose:shop/*", Selector("compose", "shop", "*")),
        ("!compose:shop/db", Selector("compose", "shop", "db", negated=True)),
        ("label:tier", Selector("label", "tier")),
        ("label:tier=", Selector("label", "tier", "")),
        ("label:com.example/x=a=b c", Selector("label", "com.example/x", "a=b c")),
        ("image:registry.example:5000/x:*", Selector("image", "registry.example:5000/x:*")),
        ("network:my net", Selector("network", "my net")),
    ],
)
def test_a_target_is(word: str, selector: Selector) -> None:
    assert read(rule(to=f'"{word}"', ports="80")).allows[0].to == (selector,)


def test_a_swarm_service_is_a_selector_of_containers() -> None:
    assert read('[[allow]]\nto = "service:shop_web"\nports = 80\nfrom = "any"\n').allows[0].to == (
        Selector("service", "shop_web"),
    )


@pytest.mark.parametrize(
    "word, told",
    [
        ("lable:x", "did you mean `label`?"),
        ("project:shop", "write a container's name or one of"),
        ("web:80", "write `web` here and the port in `ports`"),
        ("web:80/tcp", "write `web` here and the port in `ports`"),
        ("compose:", "`compose:` has no name"),
        ("compose:shop/", "an empty name"),
        ("compose:/db", "an empty name"),
        ("compose:a/b/c", "is no name for compose"),
        ("compose:a b", "is no name for compose"),
        ("label:", "`label:` has no name"),
        ("label:=x", "an empty name"),
        ("image:", "`image:` has no name"),
        ("image:a b", "is no name of an image"),
        ("network:", "`network:` has no name"),
        ("network:a*", "takes one exact name"),
        ("service:a*", "takes one exact name"),
        ("iface:eth0", "there is no selector `iface:`"),
        ("!!web", "write `web`"),
        ("!", "an empty name"),
        ("any", "write `*` for every container, or `container:any`"),
        ("172.18.0.4", "`to` takes containers"),
        ("172.18.0.0/16", "`to` takes containers"),
        ("shop/db", "a service of compose is `compose:shop/db`"),
        ("/web", "write the name without the slash, `web`"),
        ("web?", "is no name of a container"),
        ("we b", "is no name of a container"),
        ("", "an empty name"),
        ("web ", "write `web`"),
    ],
)
def test_what_is_no_selector_is_refused_with_what_to_write(word: str, told: str) -> None:
    assert told in refusal("to", word)
