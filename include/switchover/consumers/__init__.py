"""Consumers for a team's own programs: every message has exactly one effect, through a switchover too."""
