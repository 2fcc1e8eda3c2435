"""The edge: connections become clients here and nowhere else."""
