"""Room what comes back: opens, clicks, unsubscribes."""
