"""What refresh families should do, in as few words as there are: the model of the machine."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=10)
ACCESS_TTL = timedelta(seconds=300)
IDLE_TTL = timedelta(days=14)
FAMILY_TTL = timedelta(days=90)
PURGE_GRACE = timedelta(hours=1)


@dataclass(eq=False)
class Refresh:
    """A refresh token; ``spent_at`` and ``successor`` go together."""

    value: str
    made_at: datetime
    spent_at: datetime | None = None
    purged: bool = False
    successor: "Refresh | None" = None


@dataclass(eq=False)
class Access:
    """An access token; ``session`` is the session it hangs on, None after a refresh."""

    value: str
    made_at: datetime
    session: int | None = None
    revoked: bool = False


@dataclass(eq=False)
class Family:
    """All that came of one code."""

    owner: int
    code: str
    made_at: datetime
    dead: bool = False
    refreshes: list[Refresh] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)

    def expects_refresh(self, token: Refresh, client: int, now: datetime) -> str:
        """Return what a refresh should come to: ``new``, ``same`` or ``refused``.

        What it does to the family is done here, too.
        """
        if client != self.owner and not token.purged:
            self.dead = True
        if self.dead or now >= min(token.made_at + IDLE_TTL, self.made_at + FAMILY_TTL):
            return "refused"
        if token.spent_at is None or token.successor is None:
            return "new"
        if now < token.spent_at + WINDOW and token.successor.spent_at is None:
            return "same"
        self.dead = True
        return "refused"

    def purge(self, now: datetime) -> None:
        """Forget the tokens that were over an hour ago: nobody knows them any more."""
        over = now - PURGE_GRACE
        for token in self.refreshes:
            token.purged |= min(token.made_at + IDLE_TTL, self.made_at + FAMILY_TTL) <= over

    def accepts(self, access: Access, now: datetime, ended: set[int]) -> bool:
        """Tell whether the access token should be accepted."""
        if self.dead or access.revoked or access.session in ended:
            return False
        issued = access.made_at.replace(microsecond=0)
        return now < issued + ACCESS_TTL
