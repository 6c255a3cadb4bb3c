#!/usr/bin/python
# Copyright dockerfw contributors
# SPDX-License-Identifier: Apache-2.0

"""Ansible's module for the policy of dockerfw on one host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: dockerfw
short_description: Puts a policy of dockerfw in force, with a way back
description:
  - Lays a policy of dockerfw and the files beside it, and puts it in force with C(dockerfw apply).
  - A policy with a mistake, or with a broken expectation, changes nothing on the host, neither
    files nor rules. The message has file and line.
  - With O(confirm) the host goes back by itself, files and rules, unless somebody confirms in time
    with O(state=confirmed), which should come over a new connection. The role of this collection
    does that.
  - Needs root.
version_added: 1.0.0
options:
  state:
    description:
      - V(applied) lays the files and puts the policy in force.
      - V(confirmed) keeps an apply that waits for its confirmation.
      - V(probed) sends packets by every way in, with C(dockerfw probe), and fails where they do not
        do what the policy in force says.
    type: str
    choices: [applied, confirmed, probed]
    default: applied
  policy:
    description:
      - The text of the policy. Without it the file that is there is taken.
    type: str
  files:
    description:
      - Texts of other files, by their path below the folder of the policy, such as parts of the
        policy in C(conf.d), and lists.
      - A file without a text (V(null)) is taken away. Files that are not named stay as they are.
    type: dict
    default: {}
  config:
    description:
      - The file of the policy.
    type: path
    default: /etc/dockerfw/config.toml
  confirm:
    description:
      - All goes back unless it is confirmed within so many seconds, at most 3600.
      - Without it nothing goes back, unless the apply itself fails.
    type: int
  reason:
    description:
      - Kept for C(dockerfw history).
    type: str
    default: ansible
  allow_unenforced:
    description:
      - Put also in force what cannot hold on every path of this host.
    type: bool
    default: false
attributes:
  check_mode:
    description: Nothing is written. What is said is what C(dockerfw plan) says of the new files.
    support: full
  diff_mode:
    description: What C(dockerfw plan) shows, and the lines of the files that change.
    support: full
  platform:
    description: Debian 12 or newer, and what else dockerfw runs on.
    support: full
    platforms: linux
author:
  - dockerfw maintainers (@dockerfw)
"""

EXAMPLES = r"""
- name: Put a policy in force, and go back unless it is confirmed within a minute
  dockerfw.dockerfw.dockerfw:
    policy: "{{ lookup('ansible.builtin.template', 'config.toml.j2') }}"
    files:
      office.netset: "{{ lookup('ansible.builtin.file', 'office.netset', rstrip=false) }}"
      conf.d/old.toml:
    confirm: 60

- name: Close the connection
  ansible.builtin.meta: reset_connection

- name: Keep it, over a new connection
  dockerfw.dockerfw.dockerfw:
    state: confirmed

- name: See by packets that it holds
  dockerfw.dockerfw.dockerfw:
    state: probed
"""

RETURN = r"""
pending:
  description: Whether all goes back unless it is confirmed.
  returned: with O(state=applied)
  type: bool
files:
  description: The files that were written or taken away, or would be.
  returned: with O(state=applied)
  type: list
  elements: str
changes:
  description: What opens and closes, as C(dockerfw plan --json) has it.
  returned: with O(state=applied)
  type: list
  elements: dict
errors:
  description: Each mistake with C(file), C(line) and C(text).
  returned: when dockerfw refuses the policy
  type: list
  elements: dict
tried:
  description:
    - The packets that were sent, as C(dockerfw probe --json) has them; where it fails, those alone
      that did not do what the policy says.
  returned: with O(state=probed)
  type: list
  elements: dict
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfw.dockerfw.plugins.module_utils import watched, words
from ansible_collections.dockerfw.dockerfw.plugins.module_utils.tree import Tree, Wrong

STAGES = "/run"
"""Root's own, and gone with the next boot."""
MISSING = "dockerfw is not installed on this host"
LOCKED_DOWN = (
    "all is locked down on this host: `dockerfw apply` there ends that, and nothing from here does"
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["applied", "confirmed", "probed"], "default": "applied"},
            "policy": {"type": "str"},
            "files": {"type": "dict", "default": {}},
            "config": {"type": "path", "default": "/etc/dockerfw/config.toml"},
            "confirm": {"type": "int"},
            "reason": {"type": "str", "default": "ansible"},
            "allow_unenforced": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
        no_log=True,  # lists are long, and nothing for the journal
    )
    host = Host(module, module.get_bin_path("dockerfw"))
    if host.program is None and not module.check_mode:
        module.fail_json(msg=f"{MISSING}: install its package first")
    states = {"applied": host.apply, "confirmed": host.confirm, "probed": host.probe}
    module.exit_json(**states[module.params["state"]]())


class Host:
    """Dockerfw on this host, and what is asked of it; ``program`` is None where there is none."""

    def __init__(self, module: AnsibleModule, program: str | None) -> None:
        self.program = program
        self._module = module
        self._config = Path(module.params["config"])
        self._writes = not module.check_mode
        self._shows = bool(module._diff)  # noqa: SLF001 - Ansible has no other name for it

    # --- the states ------------------------------------------------------------------------------

    def apply(self) -> dict[str, Any]:
        """Lay the files, put the policy in force, and return what the module says of it."""
        seconds = self._module.params["confirm"]
        if seconds is not None and not 1 <= seconds <= 3600:
            self._fail(f"confirm is from 1 to 3600 seconds, not {seconds}")
        try:
            tree = Tree(self._config.parent, self._wanted())
            plan = self._plan(tree)
        except (Wrong, OSError) as error:
            self._fail(str(error))
        changed = bool(tree.differs) or plan["changed"]
        result = {"changed": changed, "files": tree.differs, "changes": plan["changes"]}
        result["pending"] = changed and self._writes and seconds is not None
        if self._shows:
            files = [words.file_diff(str(tree.folder / n), *tree.texts(n)) for n in tree.differs]
            result["diff"] = [*plan["shown"], *files]
        if changed and self._writes:
            why = self._put_in_force(tree)
            if why is not None:
                self._fail(why)
        return result

    def confirm(self) -> dict[str, Any]:
        """Keep an apply that waits for it."""
        if self._writes:
            status, _out, err = self._run("confirm", "-q")
            if status != 0:
                self._fail(f"not confirmed in time: {err.strip()}")
        return {"changed": False}

    def probe(self) -> dict[str, Any]:
        """Hold what is in force against packets."""
        if not self._writes:
            return {"changed": False, "tried": []}
        probe = self._ask("probe")
        if not probe["agrees"]:
            wrong = words.disagreeing(probe)
            why = "; ".join(map(words.disagreement, wrong))
            self._fail(f"packets do not do what the policy says: {why}", tried=wrong)
        return {"changed": False, "tried": probe["tried"]}

    # --- the plan --------------------------------------------------------------------------------

    def _wanted(self) -> dict[str, str | None]:
        wanted: dict[str, str | None] = {}
        for name, text in self._module.params["files"].items():
            if text is not None and not isinstance(text, str):
                self._fail(f"files: {name} is no text")
            wanted[name] = text
        if self._module.params["policy"] is not None:
            wanted[self._config.name] = self._module.params["policy"]
        return wanted

    def _plan(self, tree: Tree) -> Mapping[str, Any]:
        """Return the plan for the wanted files, and under ``shown`` what it looks like."""
        if self.program is None:
            self._module.warn(f"{MISSING}: before it is, what an apply would change is not known")
            return {"changed": True, "changes": [], "shown": []}
        if not tree.differs:
            return self._ask_plan(self._config, ("", ""))
        staged = tempfile.mkdtemp(prefix="dockerfw-", dir=STAGES)
        try:
            tree.stage(Path(staged))
            return self._ask_plan(Path(staged) / self._config.name, (staged, str(tree.folder)))
        finally:
            shutil.rmtree(staged)

    def _ask_plan(self, config: Path, renamed: tuple[str, str]) -> Mapping[str, Any]:
        plan = self._ask("plan", "-c", str(config), renamed=renamed)
        for warning in plan["warnings"]:
            self._module.warn(words.sentence(warning).replace(*renamed))
        unenforced = [one for one in plan["warnings"] if one["code"] == "unenforced"]
        if unenforced and not self._module.params["allow_unenforced"]:
            why = words.sentences(unenforced)
            self._fail(f"this policy cannot hold here: {why} (or allow_unenforced: true)")
        standing = self._ask("status")
        if standing["lockdown"]:
            self._fail(LOCKED_DOWN)
        shown = []
        if self._shows and plan["changed"]:
            _status, out, _err = self._run("plan", "-c", str(config))
            shown = [{"prepared": f"dockerfw plan:\n{out.replace(*renamed)}"}]
        return {
            "changed": plan["changed"] or standing["policy_differs"],
            "changes": plan["changes"],
            "shown": shown,
        }

    # --- dockerfw --------------------------------------------------------------------------------

    def _put_in_force(self, tree: Tree) -> str | None:
        """Return None, or why all is as it was."""
        argv = [str(self.program), "apply", "--yes", "-c", str(self._config)]
        argv += ["--reason", self._module.params["reason"]]
        if self._module.params["allow_unenforced"]:
            argv.append("--allow-unenforced")
        try:
            watched.lock()
        except (watched.Busy, OSError) as error:
            return str(error)
        seconds = self._module.params["confirm"]
        if seconds is None:
            why: str | None = watched.through(tree, argv)
        else:
            why = watched.begin(tree, [*argv, "--confirm", str(seconds)])
        return why

    def _run(self, *arguments: str) -> tuple[int, str, str]:
        """Return the exit status, and what it printed on either side.

        Who has called sudo may read what is laid here, so no message hides a line.
        """
        argv = [self.program, *arguments]
        status, out, err = self._module.run_command(argv, environ_update={"SUDO_UID": ""})
        return status, out, err

    def _ask(self, *arguments: str, renamed: tuple[str, str] = ("", "")) -> Mapping[str, Any]:
        """Return the document that a command prints; fail with its errors, files ``renamed``."""
        status, out, err = self._run(*arguments, "--json")
        try:
            document: dict[str, Any] = json.loads(out)
        except ValueError:
            self._fail(err.strip() or f"dockerfw {arguments[0]}: exit status {status}")
        errors = document.get("errors")
        if errors is not None:
            for error in errors:
                error["text"] = error["text"].replace(*renamed)
                error["file"] = error["file"] and error["file"].replace(*renamed)
            self._fail(words.sentences(errors), errors=errors)
        return document

    def _fail(self, why: str, **more: Any) -> NoReturn:
        self._module.fail_json(msg=why, **more)
        raise AssertionError  # fail_json ends the process


if __name__ == "__main__":
    main()
