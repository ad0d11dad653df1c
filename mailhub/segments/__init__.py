"""The room of segments: a question about a project's people as one JSON tree, compiled to SQL, said in words."""
