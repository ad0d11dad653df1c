"""What a project knows of a person: given to them, taken away for good, and not kept for longer than it must be."""
