"""What became of a run, in sentences: what happened, whose turn it is, what readers see, what to do."""
