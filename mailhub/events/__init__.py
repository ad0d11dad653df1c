"""Room what happened: the one door by which events are stored."""
