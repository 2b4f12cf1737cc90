"""The doctor's check that somebody may administer the service."""

from authsvc.access.administration import ADMIN_PERMISSION
from authsvc.access.role_graph import RoleGraph
from authsvc.cli.checks import Finding
from authsvc.storage.database import Transaction
from authsvc.storage.roles import has_living_holder, load_roles
from authsvc.storage.users import count_users


async def check_administrators(tx: Transaction) -> Finding:
    """Return whether a client, or a person who is not disabled, holds ``authsvc:admin``."""
    rows = await load_roles(tx)
    graph = RoleGraph(rows)
    ruling = [row for row in rows if ADMIN_PERMISSION in graph.holding([row.id]).permissions]
    if await has_living_holder(tx, [row.id for row in ruling]):
        return Finding("administrators", "ok", f"{ADMIN_PERMISSION} is held")
    if not await count_users(tx):
        advice = "authsvc init makes the first administrator"
    elif ruling:
        advice = f"authsvc roles assign {ruling[0].name} --user NAME"
    else:
        advice = (
            f"authsvc roles create administrator --permission {ADMIN_PERMISSION}, "
            "then authsvc roles assign administrator --user NAME"
        )
    return Finding("administrators", "warning", f"nobody holds {ADMIN_PERMISSION}", advice)
