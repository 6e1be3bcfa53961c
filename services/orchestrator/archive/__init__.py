"""What has left the ledger: facts about what is published, and runs that ended long ago."""
