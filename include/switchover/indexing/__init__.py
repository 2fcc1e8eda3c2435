"""Index builds: streamed, resumable, caught up."""
