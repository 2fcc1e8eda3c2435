"""Plan files: read in bounds, checked with file and line, alone and beside each other."""
