"""From texts to the types of the schema: exact, or not at all."""
