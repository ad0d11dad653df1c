"""The embedded broker's tables and functions, from the `pgmq` wheel (plain SQL, no server extension).

The script is not idempotent, hence a revision of its own. With RabbitMQ it lies unused.
"""

from importlib.resources import files

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.get_bind().connection.driver_connection.execute(files("pgmq").joinpath("sql/pgmq.sql").read_text())


def downgrade() -> None:
    op.execute("DROP SCHEMA pgmq CASCADE")
