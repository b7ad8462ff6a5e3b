"""The cases: each gives rows of the table."""
