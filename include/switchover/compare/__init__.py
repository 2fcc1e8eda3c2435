"""Blue against Green for people: arms, segments, over time, as text."""
