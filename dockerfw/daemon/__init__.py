"""``dockerfw daemon``: what wakes it up, what it does then, and what it tells."""
