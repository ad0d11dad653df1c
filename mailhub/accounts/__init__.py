"""Room people: sign-in, members of a project, API keys."""
