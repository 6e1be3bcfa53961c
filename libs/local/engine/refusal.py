"""Why the engine does not start."""


class Refused(Exception):
    """One sentence for a person: what is wrong, where, and what to do."""
