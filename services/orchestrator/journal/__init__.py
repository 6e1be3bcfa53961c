"""The append-only record of everything that happened to runs, and the state that follows from it."""
