"""How much of dockerfw stands in the kernel: questions to a `KernelState`, answered yes or no."""

from __future__ import annotations

from dockerfw.errors import UsageError
from dockerfw.kernel.interface import Kernel
from dockerfw.model.host import HostFacts
from dockerfw.operations.policy_in_force import NOTHING_APPLIED
from dockerfw.plan.state import KernelState
from dockerfw.rules.names import MAIN


def chains_stand(live: KernelState) -> bool:
    """Return True if our chains stand for at least one family."""
    return any(tables.chain("filter", MAIN) is not None for tables in live.tables.values())


def refuse_chains_of_nobody(kernel: Kernel, facts: HostFacts) -> None:
    """Raise `UsageError` if chains stand; for a host on which no policy was ever applied."""
    if chains_stand(kernel.read(facts)):
        raise UsageError(
            f"{NOTHING_APPLIED}, and chains of dockerfw stand all the same, that filter by nobody's"
            " policy: run dockerfw apply, or dockerfw remove"
        )


def chains_and_seal_stand(live: KernelState, facts: HostFacts) -> bool:
    """Return True if our chains stand for every family, and the seal where there can be one.

    Sets are not asked for: who flushes the rules leaves them, so they prove nothing.
    """
    needed = {"inet"} | ({"bridge"} if facts.frames else set())
    stand = live.seal.tables if live.seal else frozenset()
    sealed = needed <= stand or not facts.nf_tables
    return sealed and all(t.chain("filter", MAIN) is not None for t in live.tables.values())
