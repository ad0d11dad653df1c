"""Room whom we write to: lists, subscribers, sign-up."""
