"""Libraries of the product; they never import `services`."""
