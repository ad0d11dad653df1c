"""What can be done to people: users, passwords, one-time links, members, keys of programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, contains_eager

from mailhub.mail.address import InvalidAddress, parse_address
from mailhub.models import AdminToken, ApiKey, Membership, OneTimeLink, Project, Role, User, WebSession
from mailhub.security import passwords, permissions, sessions
from mailhub.security.secrets import digest, new_secret, new_token
from mailhub.web.i18n import LANGUAGES, _

LINK_HOURS = 72
NAME_LENGTH = 200

Secret = TypeVar("Secret", ApiKey, AdminToken)


class AccountRefused(Exception):
    """It was not done; `message` says why (translatable), `field` is the input that is to blame, if one is.

    `reasons` are names of what stands against it.
    """

    def __init__(self, message: Any, field: str = "", *, reasons: Sequence[str] = ()) -> None:
        super().__init__(str(message))
        self.message = message
        self.field = field
        self.reasons = list(reasons)


@dataclass(frozen=True)
class Issued(Generic[Secret]):
    """A fresh API key or admin token. `shown` is the whole secret: it is told once and kept nowhere."""

    row: Secret
    shown: str


# People


def normal_email(text: str) -> str:
    """The address as users have it: in lower case. Raises AccountRefused."""
    try:
        return parse_address(text).key
    except InvalidAddress:
        raise AccountRefused(_("This is not a valid e-mail address."), "email") from None


def find_user(dbsession: Session, email: str) -> User | None:
    """The person with this address; None for an unknown or an impossible one."""
    try:
        key = normal_email(email)
    except AccountRefused:
        return None
    return dbsession.scalars(select(User).where(User.email == key)).one_or_none()


def create_user(
    dbsession: Session, *, email: str, name: str = "", language: str = "en", is_admin: bool = False
) -> User:
    """A new person, without a password: a one-time link lets them in. Raises AccountRefused for a known address."""
    key = normal_email(email)
    if find_user(dbsession, key) is not None:
        raise AccountRefused(_("There is already an account with this address."), "email")
    user = User(
        email=key,
        name=name.strip()[:NAME_LENGTH],
        language=language if language in LANGUAGES else "en",
        is_admin=is_admin,
    )
    try:
        with dbsession.begin_nested():
            dbsession.add(user)
    except IntegrityError:
        # Somebody else has just made it.
        raise AccountRefused(_("There is already an account with this address."), "email") from None
    return user


def disable_user(dbsession: Session, user: User) -> None:
    """Let a person in no more: sessions, links and admin's tokens end. What they did stays, and their projects' keys.

    Raises AccountRefused for the last admin, and for the last owner of a project (`reasons` has the names of these).
    """
    # In the order of ids, as every lock on projects: two last owners cannot be disabled at once.
    owned = dbsession.execute(
        select(Project.id, Project.name)
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == user.id, Membership.role == Role.OWNER, Project.archived_at.is_(None))
        .order_by(Project.id)
        .with_for_update(of=Project)
    ).all()
    others = select(Membership.project_id).join(User, User.id == Membership.user_id)
    kept = set(
        dbsession.scalars(
            others.where(
                Membership.project_id.in_([project.id for project in owned]),
                Membership.role == Role.OWNER,
                Membership.user_id != user.id,
                User.disabled_at.is_(None),
            )
        )
    )
    orphans = [project.name for project in owned if project.id not in kept]
    if orphans:
        raise AccountRefused(_("A project needs an owner. Make somebody else an owner first."), reasons=orphans)
    # All admins' rows, so that two of them cannot disable each other.
    admins = select(User.id).where(User.is_admin, User.disabled_at.is_(None)).order_by(User.id).with_for_update()
    if user.is_admin and set(dbsession.scalars(admins)) <= {user.id}:
        raise AccountRefused(_("This is the last administrator."))
    user.disabled_at = user.disabled_at or datetime.now(UTC)
    dbsession.flush()
    sessions.end_others(dbsession, user.id)
    dbsession.execute(delete(OneTimeLink).where(OneTimeLink.user_id == user.id, OneTimeLink.used_at.is_(None)))
    dbsession.execute(
        update(AdminToken)
        .where(AdminToken.user_id == user.id, AdminToken.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )


def enable_user(dbsession: Session, user: User) -> None:
    """Let a person in again, with the password that they had."""
    user.disabled_at = None
    dbsession.flush()


# Passwords

_PASSWORD_FAULTS = {
    "too_short": _("Use at least ${n} characters.", mapping={"n": passwords.MIN_LENGTH}),
    "too_long": _("Use at most ${n} characters.", mapping={"n": passwords.MAX_LENGTH}),
    "common": _("This is too easy to guess: it is little more than a name, an address or a common word."),
}


def set_password(dbsession: Session, user: User, password: str, *, keep_session: int | None = None) -> int:
    """Give the person a password, and end their sessions but the one with the id `keep_session`; says how many.

    Raises AccountRefused for a password that is too short, too long or too easy to guess.
    """
    words = (user.email, *user.email.replace("@", ".").split("."), *user.name.split())
    fault = passwords.fault(password, words=words)
    if fault is not None:
        raise AccountRefused(_PASSWORD_FAULTS[fault], "password")
    user.password_hash = passwords.hash_password(password)
    user.password_changed_at = datetime.now(UTC)
    dbsession.flush()
    return sessions.end_others(dbsession, user.id, keep=keep_session)


def authenticate(dbsession: Session, email: str, password: str) -> User | None:
    """The person whose password this is. An unknown address takes as long as a wrong password.

    A hash with older parameters is made again.
    """
    user = find_user(dbsession, email)
    stored = user.password_hash if user is not None and user.disabled_at is None else None
    if not passwords.verify(stored, password) or user is None or stored is None:
        return None
    if passwords.needs_rehash(stored):
        user.password_hash = passwords.hash_password(password)
        dbsession.flush()
    return user


# One-time links


def create_link(dbsession: Session, user: User, *, recover: bool = False, hours: float = LINK_HOURS) -> str:
    """The token of a link that signs the person in once. `recover`: it also takes away a forgotten password."""
    token = new_token()
    dbsession.add(
        OneTimeLink(
            token_hash=digest(token),
            user_id=user.id,
            purpose="recover" if recover else "sign_in",
            expires_at=datetime.now(UTC) + timedelta(hours=hours),
        )
    )
    dbsession.flush()
    return token


def link_url(public_url: str, token: str) -> str:
    """The link that is handed over; built from the setting, never from a Host header."""
    return f"{public_url}/sign-in/{token}"


def link_user(dbsession: Session, token: str) -> User | None:
    """Whom a link would sign in; None for one that is unknown, used or too old. Changes nothing."""
    return dbsession.scalars(
        select(User)
        .join(OneTimeLink, OneTimeLink.user_id == User.id)
        .where(
            OneTimeLink.token_hash == digest(token),
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
    ).one_or_none()


def use_link(dbsession: Session, token: str) -> User | None:
    """Use a link up and give its person; None if somebody was faster, or it is unknown or too old."""
    used = dbsession.execute(
        update(OneTimeLink)
        .where(
            OneTimeLink.token_hash == digest(token),
            OneTimeLink.used_at.is_(None),
            OneTimeLink.expires_at > func.now(),
        )
        .values(used_at=func.now())
        .returning(OneTimeLink.user_id, OneTimeLink.purpose)
    ).one_or_none()
    user = dbsession.get(User, used.user_id) if used is not None else None
    if used is None or user is None or user.disabled_at is not None:
        return None
    if used.purpose == "recover":
        user.password_hash = None
        dbsession.flush()
        sessions.end_others(dbsession, user.id)
    return user


# Sessions


def living_sessions(dbsession: Session, user_id: int, *, idle_seconds: int) -> Sequence[WebSession]:
    """The browsers in which a person is signed in, the last used first."""
    idle = datetime.now(UTC) - timedelta(seconds=idle_seconds)
    return dbsession.scalars(
        select(WebSession)
        .where(WebSession.user_id == user_id, WebSession.expires_at > func.now(), WebSession.last_seen_at > idle)
        .order_by(WebSession.last_seen_at.desc(), WebSession.id)
    ).all()


def end_session(dbsession: Session, user_id: int, session_id: int) -> bool:
    """End one session of a person; False if they have none with this id."""
    ended = dbsession.execute(
        delete(WebSession).where(WebSession.user_id == user_id, WebSession.id == session_id).returning(WebSession.id)
    )
    return ended.one_or_none() is not None


# Members of a project


def members(dbsession: Session, project_id: int) -> Sequence[Membership]:
    """A project's members with their users, owners first, then by address."""
    return dbsession.scalars(
        select(Membership)
        .join(Membership.user)
        .options(contains_eager(Membership.user))
        .where(Membership.project_id == project_id)
        .order_by((Membership.role != Role.OWNER), User.email)
    ).all()


def add_member(dbsession: Session, *, project_id: int, user: User, role: str) -> Membership:
    """Make the person a member. Raises AccountRefused if they are one already."""
    if dbsession.get(Membership, (project_id, user.id)) is not None:
        raise AccountRefused(_("This person is in the team already."), "email")
    membership = Membership(project_id=project_id, user_id=user.id, role=Role(role))
    try:
        with dbsession.begin_nested():
            dbsession.add(membership)
    except IntegrityError:
        raise AccountRefused(_("This person is in the team already."), "email") from None
    return membership


def change_role(dbsession: Session, membership: Membership, role: str) -> bool:
    """Give the member another role; False if they had it. Raises AccountRefused for the project's last owner."""
    _lock_project(dbsession, membership)
    if membership.role == role:
        return False
    if membership.role == Role.OWNER:
        _require_another_owner(dbsession, membership)
    membership.role = Role(role)
    dbsession.flush()
    return True


def remove_member(dbsession: Session, membership: Membership) -> None:
    """Take the member out of the project. Raises AccountRefused for its last owner."""
    _lock_project(dbsession, membership)
    if membership.role == Role.OWNER:
        _require_another_owner(dbsession, membership)
    dbsession.delete(membership)
    dbsession.flush()


def may_be_handed_a_link(dbsession: Session, user: User) -> bool:
    """Whether a project's owner may be given a link for this person.

    Only for somebody who never had a password, works nowhere else and is no admin: whoever holds the link is them.
    """
    if user.password_hash is not None or user.is_admin or user.disabled_at is not None:
        return False
    memberships = select(func.count()).select_from(Membership).where(Membership.user_id == user.id)
    return dbsession.scalar(memberships) == 1


def _lock_project(dbsession: Session, membership: Membership) -> None:
    """Two owners who demote each other at once: the second one waits, and then sees what the first one did."""
    dbsession.execute(select(Project.id).where(Project.id == membership.project_id).with_for_update())
    dbsession.refresh(membership)


def _require_another_owner(dbsession: Session, membership: Membership) -> None:
    others = dbsession.scalar(
        select(func.count())
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.project_id == membership.project_id,
            Membership.role == Role.OWNER,
            Membership.user_id != membership.user_id,
            User.disabled_at.is_(None),
        )
    )
    if not others:
        raise AccountRefused(_("A project needs an owner. Make somebody else an owner first."), "role")


# Keys of programs


def create_api_key(
    dbsession: Session,
    *,
    project_id: int,
    name: str,
    scopes: Sequence[str] = (),
    expires_at: datetime | None = None,
    created_by: int | None = None,
) -> Issued[ApiKey]:
    """A key for the JSON API of one project. Without scopes it may all that a key can do.

    Raises AccountRefused for a scope that does not exist, and for a time that has passed.
    """
    unknown = sorted(set(scopes) - set(permissions.SCOPES))
    if unknown:
        raise AccountRefused(_("There is no scope ${name}.", mapping={"name": unknown[0]}), "scopes")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise AccountRefused(_("This time has passed."), "expires_on")
    secret = new_secret("mh")
    key = ApiKey(
        project_id=project_id,
        key_id=secret.key_id,
        secret_hash=secret.hash,
        name=name,
        scopes=sorted(set(scopes)),
        created_by=created_by,
        expires_at=expires_at,
    )
    dbsession.add(key)
    dbsession.flush()
    return Issued(key, secret.shown)


def api_keys(dbsession: Session, project_id: int) -> Sequence[ApiKey]:
    """A project's keys: the usable ones first, each kind from the newest."""
    return dbsession.scalars(
        select(ApiKey).where(ApiKey.project_id == project_id).order_by(ApiKey.revoked_at.is_not(None), ApiKey.id.desc())
    ).all()


def revoke_api_key(dbsession: Session, *, project_id: int, key_id: int) -> ApiKey | None:
    """End a key for good; None if the project has no usable key with this id."""
    return dbsession.scalars(
        update(ApiKey)
        .where(ApiKey.project_id == project_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(ApiKey)
    ).one_or_none()


def create_admin_token(dbsession: Session, *, user: User, name: str) -> Issued[AdminToken]:
    """A token for the JSON of the reports process. Raises AccountRefused for who is no admin."""
    if not user.is_admin:
        raise AccountRefused(_("${email} is no admin.", mapping={"email": user.email}), "email")
    secret = new_secret("mha")
    token = AdminToken(key_id=secret.key_id, secret_hash=secret.hash, name=name, user_id=user.id)
    dbsession.add(token)
    dbsession.flush()
    return Issued(token, secret.shown)


def revoke_admin_token(dbsession: Session, token: AdminToken) -> None:
    token.revoked_at = datetime.now(UTC)
    dbsession.flush()
