"""How an arm is asked: its part of the plan, its client, the probes that measure it."""
