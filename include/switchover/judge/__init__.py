"""The judge: evidence and rules in, verdicts out. It reads nothing, writes nothing and moves nothing."""
