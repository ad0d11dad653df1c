-- The benchmark's own schema, beside the product's tables: the plan, and what its hashes choose from.
CREATE SCHEMA history;

CREATE UNLOGGED TABLE history.plan (
    id integer PRIMARY KEY, project_id bigint NOT NULL, project_domain text NOT NULL, kind text NOT NULL,
    campaign_id bigint, campaign_name text NOT NULL, list_id bigint, list_name text NOT NULL,
    started_at timestamptz NOT NULL, started_ms bigint NOT NULL, microseconds_per_letter bigint NOT NULL,
    audience integer NOT NULL, time_zone text NOT NULL,
    first_subscriber bigint NOT NULL, population bigint NOT NULL, first_member bigint NOT NULL, seed bigint NOT NULL,
    hard integer NOT NULL, soft integer NOT NULL, complained integer NOT NULL
);
CREATE INDEX ON history.plan (project_id);

CREATE TABLE history.raw (
    at timestamptz NOT NULL, plan integer NOT NULL, n integer NOT NULL, type smallint NOT NULL,
    agent smallint NOT NULL, link smallint NOT NULL, reply smallint NOT NULL
) PARTITION BY RANGE (at);

CREATE UNLOGGED TABLE history.link (
    campaign_id bigint, position smallint, link_id bigint NOT NULL, url text NOT NULL,
    PRIMARY KEY (campaign_id, position)
);

CREATE UNLOGGED TABLE history.type (id smallint PRIMARY KEY, type text NOT NULL);
INSERT INTO history.type VALUES
    (1, 'SENT'), (2, 'OPENED'), (3, 'REDIRECTED'), (4, 'HARDBOUNCED'), (5, 'SOFTBOUNCED'), (6, 'UNSUBSCRIBED'),
    (7, 'COMPLAINED'), (8, 'DEFERRED'), (9, 'BLOCKED'), (10, 'UNKNOWN'), (11, 'QUEUED');

-- By what a hit was made and who made it, as the classifier would have said.
CREATE UNLOGGED TABLE history.agent (
    id smallint PRIMARY KEY, user_agent text NOT NULL, device text NOT NULL, client text NOT NULL, actor text NOT NULL,
    actor_cause text NOT NULL
);
INSERT INTO history.agent VALUES
    (0, '', '', '', '', ''),
    (1, 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)', 'proxy', 'Gmail', 'proxy_open', 'agent'),
    (2, 'Mozilla/5.0', 'proxy', 'Apple Mail', 'machine_open', 'prefetch'),
    (3, 'YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html', 'proxy', 'Yahoo', 'proxy_open', 'agent'),
    (4, 'Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/8.0; Microsoft Outlook 16.0.17928)', 'desktop', 'Outlook', 'human', 'plain'),
    (5, 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148', 'mobile', 'Apple Mail', 'human', 'plain'),
    (6, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0', 'desktop', 'Thunderbird', 'human', 'plain'),
    (7, 'Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36', 'mobile', 'Chrome', 'human', 'plain'),
    (8, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36', 'desktop', 'Chrome', 'human', 'plain'),
    (9, 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15', 'desktop', 'Safari', 'human', 'plain'),
    (10, '', '', '', 'unknown', 'no_agent'),
    (11, 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/102.0.0.0 Safari/537.36 SafeLinks', 'bot', '', 'scanner', 'all_links');

-- The relays' answers by type of event, for each value of three bits.
CREATE UNLOGGED TABLE history.reply (
    type smallint, n smallint, code smallint NOT NULL, reason text NOT NULL, detail text NOT NULL, PRIMARY KEY (type, n)
);
INSERT INTO history.reply
SELECT v.type, g.n, v.code, v.reason, v.detail
FROM (VALUES
    (4, 0, 4, 550, 'userunknown', '550 5.1.1 no such user'), (4, 5, 6, 550, 'inactive', '550 5.2.1 mailbox disabled'),
    (4, 7, 7, 554, 'hostunknown', '554 5.4.4 no such host'), (5, 0, 4, 452, 'mailboxfull', '452 4.2.2 mailbox full'),
    (5, 5, 7, 552, 'mailboxfull', '552 5.2.2 over quota'), (8, 0, 5, 421, 'ratelimited', '421 4.7.0 try again later'),
    (8, 6, 7, 451, 'systemerror', '451 4.3.0 greylisted'), (9, 0, 4, 550, 'policyviolation', '550 5.7.1 refused by policy'),
    (9, 5, 7, 554, 'blocked', '554 5.7.1 listed')
) AS v (type, first, last, code, reason, detail)
CROSS JOIN LATERAL generate_series(v.first, v.last) AS g (n);

-- Events counted while a week is at hand; the rollups are sums of these.
CREATE UNLOGGED TABLE history.by_hour (
    project_id bigint, campaign_id bigint, day date, hour smallint, provider text, type text, is_machine boolean,
    last_at timestamptz, n bigint
);
CREATE UNLOGGED TABLE history.by_domain (
    project_id bigint, campaign_id bigint, email_domain text, type text, is_machine boolean, n bigint
);
CREATE UNLOGGED TABLE history.by_device (
    project_id bigint, campaign_id bigint, device text, client text, type text, is_machine boolean, n bigint
);
CREATE UNLOGGED TABLE history.provider (domain text PRIMARY KEY, provider text NOT NULL);

-- A person's mail domain by a hash of the person: half at the large providers, the rest at 400 companies.
CREATE FUNCTION history.domain(u bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN (u & 1023) < 330 THEN 'gmail.com'
        WHEN (u & 1023) < 430 THEN 'outlook.com'
        WHEN (u & 1023) < 500 THEN 'yahoo.com'
        WHEN (u & 1023) < 570 THEN 'icloud.com'
        WHEN (u & 1023) < 650 THEN 'mail.ru'
        WHEN (u & 1023) < 700 THEN 'yandex.ru'
        ELSE 'firm' || CAST((u >> 10 & 511) % 400 AS text) || '.test'
    END
$$;

CREATE FUNCTION history.address(id bigint, u bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['anna', 'ben', 'chen', 'dora', 'emil', 'fatima', 'georg', 'hanna'])[CAST(1 + (u >> 40 & 7) AS integer)]
        || '.' || CAST(id AS text) || '@' || history.domain(u)
$$;

-- What opens a letter there; `v` is another hash, of the open.
CREATE FUNCTION history.open_agent(u bigint, v bigint) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(CASE
        WHEN (u & 1023) < 330 THEN 1
        WHEN (u & 1023) < 430 THEN CASE WHEN (v & 7) < 5 THEN 4 ELSE 8 END
        WHEN (u & 1023) < 500 THEN 3
        WHEN (u & 1023) < 570 THEN CASE WHEN (v & 7) < 5 THEN 2 ELSE 5 END
        WHEN (v & 15) = 15 THEN 10
        WHEN (v & 15) = 14 THEN 2
        ELSE 4 + (v & 15) % 6
    END AS smallint)
$$;

CREATE FUNCTION history.click_agent(u bigint, v bigint) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(CASE
        WHEN (u & 1023) >= 700 AND (u >> 10 & 511) % 400 < 60 THEN 11
        WHEN (v & 31) = 31 THEN 10
        ELSE (ARRAY[5, 7, 7, 8, 8, 8, 9, 7])[CAST(1 + (v & 7) AS integer)]
    END AS smallint)
$$;

-- UUID version 7 of the moment at which the letter came to be.
CREATE FUNCTION history.letter_id(milliseconds bigint, n bigint, step bigint, seed bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(
        lpad(to_hex((milliseconds + n * step / 1000) << 16 | 28672 | (n & 4095)), 16, '0')
        || to_hex((hashint8extended(n, seed) & 4611686018427387903) | (CAST(1 AS bigint) << 63))
        AS uuid)
$$;

CREATE FUNCTION history.ip(agent smallint, id bigint) RETURNS inet LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN agent = 1 THEN inet '66.249.80.0' + (id & 4095)
        WHEN agent = 2 THEN inet '17.58.0.0' + (id & 16383)
        WHEN agent = 11 THEN inet '40.92.0.0' + (id & 1023)
        ELSE inet '81.2.0.0' + id % 4000000
    END
$$;
