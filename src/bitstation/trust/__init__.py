"""What a worker believes: asked before anything else, on every source."""
