"""(what stands, what should) -> typed steps in the one safe order. Pure."""
