"""Limits of a relay by the kind of server it is: what `mailhub.relay.<name>.preset` stands for.

Texts as in the ini. Daily quotas (Google Workspace 10,000 a user, Yandex 500 a mailbox) are not here: the server's own
answer tells when one is used up.
"""

from __future__ import annotations

PRESETS: dict[str, dict[str, str]] = {
    # A server that takes everything from us and delivers by itself.
    "smarthost": {},
    # One that hands on to the providers while we wait: it says what they say, and their limits are ours.
    "direct": {"max_connections": "100", "messages_per_connection": "100", "lanes": "true"},
    # A server of which nothing is known. KumoMTA's shaping.toml, "default": 10 connections, 100 letters on each.
    "plain": {"max_connections": "10", "messages_per_connection": "100"},
    # postconf -d: default_destination_concurrency_limit 20 is what Postfix itself opens to one place, and below
    # smtpd_client_connection_count_limit 50. It counts no letters; smtp_connection_reuse_time_limit is 300 s.
    "postfix": {"max_connections": "20", "messages_per_connection": "500"},
    # Exim's specification: smtp_accept_max 20 is for all clients together, so half of it; from the 11th letter of a
    # connection on, Exim only queues until its next queue run (smtp_accept_queue_per_connection 10).
    "exim": {"max_connections": "10", "messages_per_connection": "10"},
    # AWS blog "SES SMTP recommendations": many connections in parallel, none kept for long. 1 letter a second is the
    # sandbox (SES guide, "Request production access"): an account's own rate is to be given beside the preset,
    # because SES drops what is too fast with 454 after DATA.
    "ses": {
        "max_connections": "20",
        "messages_per_connection": "50",
        "messages_per_second": "1",
        "max_age_seconds": "60",
        "idle_seconds": "10",
    },
    # KumoMTA's shaping.toml, provider "google": 5 connections, 50 letters on each.
    "google": {"max_connections": "5", "messages_per_connection": "50"},
    # 20 letters a connection is Yahoo's own word (senders.yahooinc.com/best-practices, in KumoMTA's shaping.toml).
    "yahoo": {"max_connections": "10", "messages_per_connection": "20"},
    # Microsoft Learn, "Exchange Online limits": SMTP AUTH takes 3 connections and 30 letters a minute.
    # 50 letters a connection: KumoMTA's shaping.toml, provider "office365".
    "microsoft": {"max_connections": "3", "messages_per_connection": "50", "messages_per_second": "0.5"},
    # KumoMTA's shaping.toml, provider "apple": 10 connections, 5 letters on each.
    "apple": {"max_connections": "10", "messages_per_connection": "5"},
    # Neither publishes a number of connections; Google's, the most careful of the large ones, stand in.
    "mailru": {"max_connections": "5", "messages_per_connection": "50"},
    "yandex": {"max_connections": "5", "messages_per_connection": "50"},
}

#: What `mailhub.relay.<name>.<option>` means, by option; docs/settings.md is made from it.
RELAY_DOCS = {
    "url": "`smtp://`, `smtp+starttls://`, `smtps://user:password@host:port`. `mailhub.relay.default.url` is used unless a project "
    "says otherwise; without it, the development mailbox.",
    "preset": "Limits fit for a kind of server; what is given beside it wins (docs/delivery-limits.md): "
    + ", ".join(f"`{name}`" for name in PRESETS) + ".",
    "max_connections": "Open connections at most, over all workers.",
    "messages_per_second": "Letters a second at most, over all workers; 0: no limit.",
    "messages_per_connection": "A connection is closed after so many letters.",
    "max_age_seconds": "A connection is closed after this time.",
    "idle_seconds": "A connection without a letter is closed after this time.",
    "tls": "`none`, `opportunistic` (STARTTLS where it is offered) or `require`. By itself `smtp://` is `none` to this machine and "
    "`opportunistic` to others; `smtp+starttls://` and `smtps://` are always encrypted.",
    "verify": "Whether the certificate must be good under `opportunistic`; by itself only when there is a user name. "
    "`require` and `smtps://` always verify.",
    "ca_file": "PEM file of the authorities to trust instead of the system's.",
    "auth": "`plain`, `login`, `xoauth2` (the URL's password is the access token), or `auto`: PLAIN or LOGIN, as offered.",
    "password_in_clear": "`true` lets the password go to another machine without TLS.",
    "transactional_per_second": "Transactional letters a second at most, as a part of the above; 0: no limit of their own.",
    "bulk_per_second": "Campaigns' letters a second at most, as a part of the above; 0: no limit of their own.",
    "lanes": "Whether the limits of `mailhub.lane.*` hold for letters through this relay.",
    "route": "The group that it belongs to; without it, its own name. Projects choose a group.",
    "weight": "Its share of the group's letters; 0: only when the others are down.",
    "domains": "Sender domains, separated by spaces, whose letters take this relay's group, whatever the project chose.",
}
#: What holds where nothing is said.
RELAY_DEFAULTS = {
    "url": "", "preset": "smarthost", "max_connections": "10", "messages_per_second": "0", "messages_per_connection": "500",
    "max_age_seconds": "300", "idle_seconds": "30", "auth": "auto", "password_in_clear": "false",
    "transactional_per_second": "0", "bulk_per_second": "0", "lanes": "false", "route": "", "weight": "1", "domains": "",
}  # fmt: skip
