"""What is open for a while, and the way back, on a real engine and with packets."""

from __future__ import annotations

import json

from tests.lab.engine import Engine
from tests.lab.host import HOST_V4, Host

CONFIG = "/etc/dockerfw/config.toml"
TEMPORARY = "/etc/dockerfw/conf.d/temporary.toml"
GUEST, STRANGER = "198.51.100.7", "203.0.113.9"


def test_a_guest_comes_in_for_a_while_and_a_policy_goes_back() -> None:
    with Host() as host, Engine(host, "20.10") as engine:
        engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})

        def who() -> list[str]:
            places = (
                (one, host.outside.tcp(HOST_V4, 5432, source=one)) for one in (GUEST, STRANGER)
            )
            return [one for one, answer in places if answer.text == "db"]

        def told(*arguments: str) -> list[dict[str, object]]:
            document = json.loads(host.dockerfw(*arguments, "--json").stdout)
            found: list[dict[str, object]] = document.get("temporary") or document["policies"]
            return found

        def since(number: int) -> set[tuple[str, str]]:
            done = host.dockerfw("plan", "--since", str(number), "--json", check=False)
            assert done.returncode == 3, done.stderr
            changes = json.loads(done.stdout)["changes"]
            return {(one["change"], source) for one in changes for source in one["sources"]}

        host.run(["mkdir", "-p", "/etc/dockerfw"])
        host.write(CONFIG, "# nobody\n", 0o600)
        host.dockerfw("apply", "--yes", "--reason", "nobody at first")
        assert who() == []
        assert [one["reason"] for one in told("history")] == ["nobody at first"]

        host.dockerfw(
            "allow", f"{GUEST}/32", "db:5432", "--for", "2h", "--reason", "a test", "--yes"
        )
        assert who() == [GUEST]
        assert host.run(["stat", "-c", "%a %U", TEMPORARY]).stdout == "600 root\n"
        (opened,) = told("allow")
        assert (opened["number"], opened["from"], opened["in_force"]) == (1, [GUEST], True)
        host.dockerfw("allow", STRANGER, ":5432", "--for", "30m", "--yes")
        assert who() == [GUEST, STRANGER]
        host.dockerfw("allow", "--end", "1", "--yes")
        assert who() == [STRANGER]

        host.dockerfw("rollback", "--yes")
        assert who() == [GUEST, STRANGER]
        assert [one["what"] for one in told("history")] == [
            "rollback to 3",
            "allow --end 1",
            f"allow {STRANGER} :5432",
            f"allow {GUEST}/32 db:5432",
            "apply",
        ]
        host.dockerfw("apply", "--yes")
        assert who() == [STRANGER], "the files are as they were"

        # Policy 1 let nobody in, policy 2 the guest alone, whom the files no longer have.
        assert since(1) == {("open", STRANGER)}
        assert since(2) == {("open", STRANGER), ("close", GUEST)}
        gone = host.dockerfw("plan", "--since", "99", check=False)
        assert gone.returncode == 1
        assert "policy 99 is not kept any more" in gone.stderr
