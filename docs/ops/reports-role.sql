-- A role for the reports' queries (sqlalchemy.reports.url): it reads, and never what a secret is kept in.
-- As a superuser, in mailhub's database, after `mailhub init`, and again after an update that brings tables:
--   sudo -u postgres psql mailhub -f docs/ops/reports-role.sql
--   sudo -u postgres psql -c '\password mailhub_reports'
-- The owner of the tables is taken to be the role `mailhub`.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mailhub_reports') THEN
        CREATE ROLE mailhub_reports LOGIN;
    END IF;
END $$;

ALTER ROLE mailhub_reports SET default_transaction_read_only = on;
ALTER ROLE mailhub_reports SET statement_timeout = '60s';
ALTER ROLE mailhub_reports SET idle_in_transaction_session_timeout = '60s';

GRANT USAGE ON SCHEMA public TO mailhub_reports;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO mailhub_reports;
-- Partitions and tables that are made later.
ALTER DEFAULT PRIVILEGES FOR ROLE mailhub IN SCHEMA public GRANT SELECT ON TABLES TO mailhub_reports;
-- What other roles' statements are doing, for the page of the database.
GRANT pg_read_all_stats TO mailhub_reports;

-- Of these tables all columns but the secret ones: hashes of passwords, tokens and keys, and private keys.
REVOKE SELECT ON user_account, web_session, one_time_link, api_key, admin_token, sending_domain, stats_share, erasure
    FROM mailhub_reports;
GRANT SELECT (
    id, email, name, password_changed_at, language, time_zone, theme, is_admin, disabled_at, created_at
) ON user_account TO mailhub_reports;
GRANT SELECT (id, user_id, app, created_at, last_seen_at, expires_at) ON web_session TO mailhub_reports;
GRANT SELECT (user_id, purpose, created_at, expires_at, used_at) ON one_time_link TO mailhub_reports;
GRANT SELECT (
    project_id, id, key_id, name, scopes, created_by, created_at, expires_at, revoked_at, last_used_at
) ON api_key TO mailhub_reports;
GRANT SELECT (id, key_id, name, user_id, created_at, revoked_at, last_used_at) ON admin_token TO mailhub_reports;
GRANT SELECT (
    project_id, id, domain, selector, rsa_public, ed25519_public, status, checking_since, checked_at, problem, results,
    created_at
) ON sending_domain TO mailhub_reports;
GRANT SELECT (
    project_id, id, campaign_id, name, created_by, created_at, expires_at, revoked_at, last_seen_at
) ON stats_share TO mailhub_reports;
GRANT SELECT (
    project_id, id, state, way, subscriber_id, asked_by, created_at, due_at, erased_at
) ON erasure TO mailhub_reports;
