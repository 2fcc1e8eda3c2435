"""What people are shown and told of a run, made from its records."""
