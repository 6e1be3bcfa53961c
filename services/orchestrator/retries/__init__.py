"""When something is tried again, after which pause, how often, and who is spared meanwhile."""
