"""Whom nobody may write to: the stop list of a project, and the operator's small one for all projects."""
