"""Room of what is brought in: files with people, how they are read, merged and taken back."""
