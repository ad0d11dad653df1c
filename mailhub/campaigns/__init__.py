"""Room what we write and when: campaigns."""
