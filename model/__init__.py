"""The networks, the corpus they learn from, and their training (torch)."""
