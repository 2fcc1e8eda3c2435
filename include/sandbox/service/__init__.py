"""The retrieval service of the sandbox: its corpus, its indexes, and how it answers."""
