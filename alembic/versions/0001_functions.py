"""The trigram extension (a trusted one: the database's owner may create it) and time-ordered UUIDs."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# RFC 9562 version 7, from a random version 4: the first 48 bits become the milliseconds, the version nibble 4 becomes
# 7 (bits 52 and 53 are set). PostgreSQL 18 has uuidv7(); 15 to 17 don't.
UUID7 = """
CREATE FUNCTION uuid7(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6
                ), 52, 1
            ), 53, 1
        ), 'hex')::uuid
$$
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute(UUID7)


def downgrade() -> None:
    op.execute("DROP FUNCTION uuid7(timestamptz)")
    op.execute("DROP EXTENSION pg_trgm")
