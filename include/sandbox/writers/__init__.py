"""The writers of the sandbox: jobs with side effects that a switchover freezes."""
