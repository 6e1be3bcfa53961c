"""A local server of OpenAI's organization API: recorded shapes, seeded data, dials for every oddity."""
