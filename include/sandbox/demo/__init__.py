"""The demo: a switchover for real, its scenarios, its traffic, and what is driven from outside."""
