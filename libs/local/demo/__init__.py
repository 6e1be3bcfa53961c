"""The demonstration: two tenants' data from a real bill and an API to checked, published cost tables."""
