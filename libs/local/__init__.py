"""The mesh on a laptop: embedded BigQuery, one process per service, one edge."""
