"""Workers of the ingest service: what is asked of them, and which one takes a chunk."""
