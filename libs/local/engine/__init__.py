"""The embedded BigQuery: one process that speaks BigQuery's REST and Storage Write protocols on a laptop.

It runs `bqemulator` in an environment of its own and applies the fixes that several services at
once need. Nothing of the product imports it; everything reaches it through Google's own clients.
"""
