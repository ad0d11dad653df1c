-- The seed's tables: the normalised ones, and the denormalised events that took their place.
CREATE SCHEMA seed;
CREATE UNLOGGED TABLE seed.message (
    id bigint, uuid uuid NOT NULL, project_id bigint NOT NULL, campaign_id bigint, list_id bigint, email text NOT NULL,
    created timestamptz NOT NULL
);
CREATE UNLOGGED TABLE seed.message_event (
    id bigint, message_id bigint NOT NULL, type text NOT NULL, date timestamp NOT NULL, url text NOT NULL, ip inet,
    user_agent text NOT NULL
);
CREATE UNLOGGED TABLE seed.flat_event (
    id bigint, message_id bigint NOT NULL, type text NOT NULL, date timestamp NOT NULL, project_id bigint NOT NULL,
    project_domain text NOT NULL, campaign_id bigint, campaign_name text NOT NULL, list_id bigint,
    list_name text NOT NULL, email text NOT NULL, email_domain text NOT NULL, url text NOT NULL, ip inet,
    user_agent text NOT NULL
);
