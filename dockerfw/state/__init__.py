"""What dockerfw keeps on disk: the policy in force, what was last seen, locks."""
