"""Every place that can hold an address is searched, by its spelling in all forms; what is excused has a reason."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import LargeBinary

from mailhub.models import metadata
from mailhub.privacy.places import (
    _DEEDS,
    KEPT_BY_NUMBER,
    LEFT_ALONE,
    can_hold_text,
    has_given_words,
    is_excused,
    places,
    tables_of_people,
)
from mailhub.privacy.traces import GONE, Traces

#: Binary columns, and what is in them: no address can be.
BINARY = {
    "address_change.digest", "admin_token.secret_hash", "api_key.secret_hash", "erasure.email_hash", "erasure.sealed",
    "global_suppression.email_hash", "one_time_link.token_hash", "sending_domain.ed25519_private",
    "sending_domain.rsa_private", "stats_share.token_hash", "suppression.email_hash", "web_session.token_hash",
}  # fmt: skip
#: Columns that no walk can clean, because another row is found by them.
COLUMNS = [column for table in metadata.sorted_tables for column in table.columns]


def test_each_text_column_of_the_schema_is_walked_or_excused_by_name():
    walked = {(place.table.name, column.name) for place in places() for column in place.columns}
    for column in COLUMNS:
        if can_hold_text(column):
            here = (column.table.name, column.name) in walked
            assert here != is_excused(column), column
    assert len(walked) > 150


def test_what_is_excused_exists():
    names = {table.name for table in metadata.sorted_tables} | {str(column) for column in COLUMNS}
    assert set(LEFT_ALONE) <= names
    assert set(KEPT_BY_NUMBER) | set(_DEEDS) <= names
    assert any(has_given_words(column) for column in COLUMNS)


def test_binary_columns_are_known():
    """A new one needs a look: an encrypted or packed address is not found by its spelling."""
    assert {str(column) for column in COLUMNS if isinstance(column.type, LargeBinary)} <= BINARY


def test_rows_about_a_person_go_with_them_whatever_the_table():
    gone = {table.name for table in tables_of_people()}
    about = {table.name for table in metadata.sorted_tables if "subscriber_id" in table.columns}
    assert about == gone | KEPT_BY_NUMBER.keys()


@pytest.mark.parametrize(
    "text",
    [
        "{}", "<{}>", "mailto:{}", "to={}&x", "a,{},b", "'{}'", "see {}.", "{}.csv", "x=3D{}=", "U%3D{}%26", "({})",
    ],
)  # fmt: skip
def test_an_address_is_found_and_taken_out_in_whatever_stands_around_it(text):
    address = "ann.o+x@mail.test"
    traces = Traces([address])
    forms = (address, address.upper(), quote(address, safe=""), quote(quote(address, safe=""), safe=""),
             address.replace("@", "=40"), address.replace("@", "&#64;"), address.replace("@", "%40"))  # fmt: skip
    for spelled in forms:
        given_text = text.format(spelled)
        assert traces.has(given_text), given_text
        assert any(needle in given_text.lower() for needle in traces.needles()), given_text
        assert traces.without(given_text) == text.format(GONE)


@pytest.mark.parametrize(
    "other",
    ["joann.o+x@mail.test", "x.ann.o+x@mail.test", "ann.o+x@mail.test.uk", "ann.o+x@mail.tests", "ann.o@mail.test"],
)
def test_another_address_is_left_as_it_is(other):
    traces = Traces(["ann.o+x@mail.test"])
    assert traces.without(f"<{other}>") == f"<{other}>"
    assert traces.without_in({"a": [other, 1, None], other: "ann.o+x@mail.test"}) == {
        "a": [other, 1, None],
        other: GONE,
    }


_LOCAL = st.text(st.sampled_from("abcxyz0129._+-"), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(_LOCAL, st.text(st.characters(codec="latin-1"), max_size=9), st.text(st.characters(codec="latin-1"), max_size=9))
def test_base64_hides_nothing(local, before, after):
    address = f"{local}@mail.test"
    traces = Traces([address])
    encoded = base64.b64encode(f"{before}{address}{after}".encode()).decode()
    assert traces.has(encoded)
    assert any(needle in encoded.lower() for needle in traces.needles())
    cleaned = traces.without(encoded)
    assert address.encode() not in base64.b64decode(cleaned)
    assert len(cleaned) == len(encoded)


def test_nobody_to_look_for_is_nobody_found():
    assert Traces([]).without("ann@mail.test") == "ann@mail.test"
    assert not Traces(["no address"]).has("no address")
