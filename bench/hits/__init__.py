"""Opens and clicks against a real tracking server."""
