"""The second front door: the reports process, for staff only."""
