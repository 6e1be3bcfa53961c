"""Tables for people with SQL, rebuilt from the journal at any time."""
