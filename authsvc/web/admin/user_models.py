"""What a user is in requests and answers of the admin API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from authsvc.storage.users import User
from authsvc.web.admin.bodies import Body, Line
from authsvc.web.admin.operations import View


class UserView(View):
    """A person. ``password_set`` says whether there is a password, never which."""

    id: str
    username: str
    email: str | None
    email_verified: bool
    claims: Mapping[str, Any]
    disabled: bool
    password_set: bool
    created_at: datetime
    updated_at: datetime


class NewUser(Body):
    """An account to be created."""

    username: Line
    email: Line | None = None
    email_verified: bool = False
    password: Line | None = None
    claims: dict[str, Any] = Field(default_factory=dict)


class UserChange(Body):
    """What is to change; absent members stay. Of ``claims``, null takes one away."""

    email: Line | None = None
    email_verified: bool = False
    claims: dict[str, Any] = Field(default_factory=dict)
    disabled: bool = False


class NewPassword(Body):
    """A password to be set."""

    password: Line


class EndedSessions(View):
    """How many sessions were ended."""

    sessions: int


def user_view(user: User) -> UserView:
    """Return what is shown of ``user``."""
    return UserView(
        id=user.id,
        username=user.username,
        email=user.email,
        email_verified=user.email_verified,
        claims=user.claims,
        disabled=user.disabled_at is not None,
        password_set=user.password_hash is not None,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )
