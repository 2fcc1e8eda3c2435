"""Building an arm's index: from a plan's ``build`` part to rows, manifest and INDEX_HASH."""
