"""The attacks that an HQ can play over HTTP: each a lie, and the outcome that a worker owes."""
