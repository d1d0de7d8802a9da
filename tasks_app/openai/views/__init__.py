"""A file for each group of routes under /v1."""
