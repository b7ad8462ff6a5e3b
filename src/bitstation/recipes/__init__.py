"""Making what saves bytes: maps, packed blocks, patches and guides, on the publisher's side."""
