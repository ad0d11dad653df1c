"""Weekly partitions of the three tables that grow with time, and the function that makes them ahead."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PARENTS = {"message": "created_at", "message_content": "created_at", "message_event": "at"}

# A week begins on Monday, 00:00 UTC; its partition is named after that day. Rows that came while a partition was
# missing lie in the default one: they are moved before the new partition is attached, in the same transaction.
ENSURE_PARTITIONS = """
CREATE FUNCTION ensure_partitions(parent text, key text, since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    week timestamp := date_trunc('week', since AT TIME ZONE 'UTC');
    child text;
    made integer := 0;
BEGIN
    WHILE week < until AT TIME ZONE 'UTC' LOOP
        child := format('%s_%s', parent, to_char(week, 'YYYYMMDD'));
        IF to_regclass(child) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format(
                'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                parent || '_default', key, week AT TIME ZONE 'UTC', key, (week + interval '7 days') AT TIME ZONE 'UTC',
                child);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, child, week AT TIME ZONE 'UTC', (week + interval '7 days') AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        week := week + interval '7 days';
    END LOOP;
    RETURN made;
END $$
"""


def upgrade() -> None:
    op.execute(ENSURE_PARTITIONS)
    for parent, key in PARENTS.items():
        op.execute(f"CREATE TABLE {parent}_default PARTITION OF {parent} DEFAULT")
        op.execute(
            f"SELECT ensure_partitions('{parent}', '{key}', now() - interval '1 week', now() + interval '8 weeks')"
        )


def downgrade() -> None:
    # The partitions themselves go with their parents, in the revision before.
    op.execute("DROP FUNCTION ensure_partitions(text, text, timestamptz, timestamptz)")
    for parent in PARENTS:
        op.execute(
            f"DO $$ DECLARE child regclass; BEGIN "
            f"FOR child IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = '{parent}'::regclass "
            f"LOOP EXECUTE format('DROP TABLE %s', child); END LOOP; END $$"
        )
