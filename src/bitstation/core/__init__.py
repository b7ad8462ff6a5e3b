"""Values and rules. Nothing here opens a file, reads a clock or logs."""
