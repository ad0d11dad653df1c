"""Room people: sign-in, one's own account, members of a project, API keys, admins' tokens."""
