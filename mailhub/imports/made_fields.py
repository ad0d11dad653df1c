"""Custom fields that an import has made: a roll-back takes those back that nothing uses."""

from __future__ import annotations

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from mailhub.models import SubscriberImport

#: Where `subscriber_import.reading` keeps their names; after a roll-back those that have stayed.
MADE = "made"

_NAMES = bindparam("names", type_=ARRAY(Text))
# One walk over the people of the project, whatever the number of fields.
_PATIENCE = text("SELECT set_config('statement_timeout', '600s', true)")
_HELD = text(
    """
    SELECT DISTINCT e.key
    FROM subscriber AS s CROSS JOIN LATERAL jsonb_object_keys(s.fields) AS e (key)
    WHERE s.project_id = :project AND s.fields ?| CAST(:names AS text[]) AND e.key = ANY(:names)
    """
).bindparams(_NAMES)
# Whatever has the name in it is taken to use it: a field too many does less harm than a letter with a hole.
_UNUSED = text(
    """
    DELETE FROM subscriber_field AS f
    WHERE f.project_id = :project AND f.name = ANY(:names) AND NOT f.editable
        AND NOT EXISTS (
            SELECT FROM segment AS s
            WHERE s.project_id = f.project_id AND position(f.name IN CAST(s.definition AS text)) > 0
        )
        AND NOT EXISTS (
            SELECT FROM sign_up_form AS s
            WHERE s.project_id = f.project_id AND position(f.name IN CAST(s.design AS text)) > 0
        )
        AND NOT EXISTS (
            SELECT FROM campaign AS c
            WHERE c.project_id = f.project_id AND c.state NOT IN ('sent', 'cancelled')
                AND position(f.name IN concat_ws(' ', c.subject, c.preheader, c.html, c.text)) > 0
        )
        AND NOT EXISTS (
            SELECT FROM subscriber_import AS i CROSS JOIN LATERAL jsonb_each_text(i.mapping) AS m
            WHERE i.project_id = f.project_id AND i.state IN ('pending', 'running') AND m.value = f.name
        )
    RETURNING f.name
    """
).bindparams(_NAMES)


def take_back(dbsession: Session, row: SubscriberImport) -> None:
    """Delete the fields that the import has made and that neither a person nor a segment, a form or a letter that is
    still to be sent has. The others stay, and the import knows which.
    """
    made = list(row.reading.get(MADE, []))
    if not made:
        return
    dbsession.execute(_PATIENCE)
    values = {"project": row.project_id, "names": made}
    held = set(dbsession.scalars(_HELD, values))
    gone = set(dbsession.scalars(_UNUSED, values | {"names": [name for name in made if name not in held]}))
    row.reading = row.reading | {MADE: [name for name in made if name not in gone]}
