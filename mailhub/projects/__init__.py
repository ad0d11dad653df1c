"""Room the tenant: a project and its domain, senders, members."""
