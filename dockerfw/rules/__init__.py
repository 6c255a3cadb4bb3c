"""(Policy, Inventory, HostFacts) -> `Ruleset`: what should stand in the kernel, as values. Pure."""
