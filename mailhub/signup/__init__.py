"""ROOM sign-up forms: how strangers come into lists, and how they are kept from being sent there by others."""
