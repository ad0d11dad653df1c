"""Room whom we write to: lists, subscribers, imports, sign-up."""
