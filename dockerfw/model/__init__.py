"""What everybody shares, as frozen values: addresses and ports, policy, inventory, host. Pure."""
