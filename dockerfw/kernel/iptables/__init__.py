"""iptables and ip6tables: chains, rules and jumps of one family and flavour."""
