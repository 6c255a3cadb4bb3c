"""nft: the table ``inet dockerfw``, the seal."""
