"""The steps of the checklist: each a function that an operator, a command or the watchdog can call."""
