"""What the columns of a file mean, by their headers in English and Russian and by what stands under them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mailhub.imports.head import Head, is_address
from mailhub.imports.person import (
    CONSENT_AT,
    CONSENT_IP,
    CONSENT_SOURCE,
    EMAIL,
    FIRST_NAME,
    LAST_NAME,
    MIDDLE_NAME,
    NAME,
    STATUS,
    TAGS,
)
from mailhub.imports.standing import Standing, standing_of
from mailhub.imports.values import Guess, guess_type
from mailhub.lists.fields import clean_field_name

SAMPLES = 3
#: The first columns of our own list of rejected rows; the file's own follow.
LISTED = ("line", "reason", "explanation")
#: How one knows our own export of people, and what of it is nobody's field: times and words of this service.
_EXPORT = frozenset({"email", "status", "lists", "tags", "source", "added_at", "changed_at"})
_OF_EXPORT = frozenset({"lists", "source", "added_at", "changed_at", "confirmed_at", "left_at"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Headers in lower case, without anything but letters and digits, ё written as е.
_HEADERS = {
    EMAIL: _words(
        "email emailaddress emailaddresses emails mail address mailaddress subscriberemail useremail contactemail "
        "primaryemail workemail personalemail customeremail emailaddress1 email1 eaddress "
        "почта эпочта элпочта электроннаяпочта емейл емайл имейл имэйл мейл мыло адрес адресэлектроннойпочты "
        "адресэлпочты адресэпочты адреспочты адресemail emailадрес электронныйадрес почтовыйадрес ящик "
        "почтовыйящик эмейл эмайл эладрес контактныйemail"
    ),
    NAME: _words(
        "name fullname firstnamelastname subscribername contactname username customername clientname displayname "
        "имя фио полноеимя имяфамилия имяифамилия фамилияимя фамилияимяотчество фамилияиимя имяотчество "
        "имяиотчество подписчик клиент контакт контактноелицо имяподписчика имяклиента"
    ),
    FIRST_NAME: _words("firstname givenname forename first fname имя личноеимя"),
    MIDDLE_NAME: _words("middlename secondname patronymic отчество"),
    LAST_NAME: _words("lastname surname familyname last lname фамилия"),
    TAGS: _words("tags tag labels label теги тег тэги тэг метки метка ярлыки"),
    CONSENT_AT: _words(
        "consentdate consentat consenttime optindate optintime optinat confirmtime confirmedat optedinat "
        "subscribedat subscribedate subscriptiondate datesubscribed signupdate signuptime datejoined joinedat "
        "согласиедата датасогласия времясогласия датаподписки времяподписки подписан дататподписки "
        "датаподтверждения"
    ),
    CONSENT_SOURCE: _words(
        "consentsource optinsource signupsource subscriptionsource consenttext источниксогласия источникподписки "
        "основание источник source"
    ),
    CONSENT_IP: _words(
        "consentip optinip confirmip ip ipaddress signupip ipадрес ipсогласия ipподписки айпи"
    ),
    STATUS: _words(
        "status state subscriptionstatus subscriberstatus emailstatus liststatus emailmarketingconsent "
        "статус состояние статусподписки состояниеподписки статусподписчика"
    ),
}  # fmt: skip

#: Other words for a field that a project may have under one of them.
_SAME = (
    _words("phone phonenumber mobile mobilephone cell cellphone tel telephone телефон номертелефона мобильный "
           "мобильныйтелефон мобтелефон контактныйтелефон тел сотовый моб"),
    _words("city town город населенныйпункт"),
    _words("birthday birthdate dateofbirth dob bday деньрождения датарождения др"),
    _words("country страна"),
    _words("region state province область регион край"),
    _words("company organisation organization employer компания организация фирма юрлицо"),
    _words("position jobtitle title должность"),
    _words("gender sex пол"),
    _words("zip zipcode postcode postalcode индекс почтовыйиндекс"),
    _words("language lang язык"),
    _words("age возраст"),
)  # fmt: skip
_NO_LETTERS = re.compile(r"[\W_]+")


class KnownField(Protocol):
    """What is asked of a project's field; models.SubscriberField is one."""

    name: str
    label: str
    type: str


@dataclass(frozen=True)
class Column:
    """A column and the guess of its meaning.

    `target` is one of person.OWN_TARGETS, the name of a field, or "" where nothing could be made of the header.
    `field` is the name that a field made of this column has (perhaps a field of the project already: `is_known`),
    and `guess` the type that its first cells speak for.
    """

    number: int
    header: str
    target: str
    field: str
    is_known: bool
    guess: Guess
    samples: tuple[str, ...]


def guess_columns(head: Head, known: Sequence[KnownField] = ()) -> list[Column]:
    """The meaning of every column; none is EMAIL where no column has addresses."""
    meaning = [fold(header) for header in head.headers]
    cells = [_cells(head, number) for number in range(head.columns)]
    email = _address_column(meaning, cells)
    targets: dict[int, str] = {} if email is None else {email: EMAIL}
    _name_columns(meaning, targets)
    targets |= dict.fromkeys(_standing_columns(meaning, cells), STATUS)
    targets |= _nobodys(head.headers)
    for target in (TAGS, CONSENT_AT, CONSENT_SOURCE, CONSENT_IP):
        found = next((n for n, word in enumerate(meaning) if n not in targets and word in _HEADERS[target]), None)
        if found is not None:
            targets[found] = target
    columns: list[Column] = []
    taken: set[str] = set()
    for number, header in enumerate(head.headers):
        field = _known_name(header, meaning[number], known) or clean_field_name(header)
        target = targets.get(number, field if field not in taken else "")
        taken.add(target)
        samples = tuple(dict.fromkeys(cell[:80] for cell in cells[number]))[:SAMPLES]
        is_known = any(field == one.name for one in known)
        columns.append(Column(number, header, target, field, is_known, guess_type(cells[number]), samples))
    return columns


def _nobodys(headers: Sequence[str]) -> dict[int, str]:
    """Columns that we have put into a file ourselves, and that say nothing of a person."""
    if tuple(headers[: len(LISTED)]) == LISTED:
        return dict.fromkeys(range(len(LISTED)), "")
    if set(headers) >= _EXPORT:
        return {number: "" for number, header in enumerate(headers) if header in _OF_EXPORT}
    return {}


def _standing_columns(meaning: Sequence[str], cells: Sequence[list[str]]) -> list[int]:
    """Columns that say who has left: a status of another kind, as customers have it, is a field."""
    return [
        number
        for number, word in enumerate(meaning)
        if word in _HEADERS[STATUS]
        and cells[number]
        and not any(standing_of(cell) == Standing.UNKNOWN for cell in cells[number])
    ]


def guess_mapping(head: Head, known: Sequence[KnownField] = ()) -> dict[str, str]:
    """header → target, for every column."""
    return {column.header: column.target for column in guess_columns(head, known)}


def has_addresses(head: Head) -> bool:
    """Whether the guess finds an address column at all."""
    return EMAIL in guess_mapping(head).values()


def fold(header: str) -> str:
    """A header as the tables above have it."""
    return _NO_LETTERS.sub("", header).lower().replace("ё", "е")


def _cells(head: Head, number: int) -> list[str]:
    """The filled cells of a column among the first rows."""
    return [text for row in head.rows if number < len(row.cells) and (text := row.cells[number].strip())]


def _address_column(meaning: Sequence[str], cells: Sequence[list[str]]) -> int | None:
    """By header, if what stands under it is not against it; else the column that is full of addresses."""
    shares = [sum(map(is_address, column)) / len(column) if column else None for column in cells]

    def better(number: int) -> tuple[float, int]:
        return shares[number] or 0.0, -number

    named = [number for number, word in enumerate(meaning) if word in _HEADERS[EMAIL]]
    if named:
        # "Адрес" may be where a person lives: the one with the addresses is meant.
        best = max(named, key=better)
        if shares[best] or not any((share or 0.0) >= 0.5 for share in shares):
            return best
    full = [number for number, share in enumerate(shares) if share is not None and share >= 0.5]
    return max(full, key=better) if full else None


def _name_columns(meaning: Sequence[str], targets: dict[int, str]) -> None:
    """The name: in one column, or in parts that are joined. `Имя` beside `Фамилия` is a first name."""
    parts: dict[str, int] = {}
    for target in (LAST_NAME, MIDDLE_NAME, FIRST_NAME):
        found = next((n for n, word in enumerate(meaning) if n not in targets and word in _HEADERS[target]), None)
        if found is not None:
            parts[target] = found
    busy = {*targets, *parts.values()}
    whole = next((n for n, word in enumerate(meaning) if n not in busy and word in _HEADERS[NAME]), None)
    if FIRST_NAME in parts and len(parts) > 1:
        targets.update({number: target for target, number in parts.items()})
    elif whole is not None:
        targets[whole] = NAME
    elif FIRST_NAME in parts:
        targets[parts[FIRST_NAME]] = NAME


def _known_name(header: str, meaning: str, known: Sequence[KnownField]) -> str:
    """The project's field that this header means: by its name, its label, or another word for the same."""
    name = clean_field_name(header)
    for field in known:
        if field.name == name:
            return field.name
    same = next((words for words in _SAME if meaning in words), frozenset({meaning}))
    for field in known:
        if fold(field.label) in same or fold(field.name) in same:
            return field.name
    return ""
