"""DNS' edge: names of ``host:`` sources -> addresses."""
