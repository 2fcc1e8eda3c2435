"""Whether a build may take a table's name, and which roles may do what with the new index then.

A table that is created is open to its owner only: readers that follow the pointer would find it closed. So the roles of
the live index may do with the new one what they may do there, and nothing else.
"""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from switchover.errors import BadInput, TargetRefused

_TAKEN = sa.text("""
SELECT relkind, pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS ours,
    EXISTS (SELECT 1 FROM switchover_manifest WHERE target = :target) AS described
FROM pg_class WHERE oid = to_regclass(quote_ident(:target))""")
# The rights of everybody but the new owner: on the table, the old owner's among them, and on single columns.
_GRANTS = sa.text("""
WITH old AS (SELECT oid, relacl, relowner FROM pg_class WHERE oid = to_regclass(:like)),
new AS (SELECT oid, relowner FROM pg_class WHERE oid = to_regclass(:table)),
held AS (
    SELECT acl.*, '' AS columns FROM old, aclexplode(coalesce(relacl, acldefault('r', relowner))) AS acl
    UNION ALL
    SELECT acl.*, format(' (%I)', was.attname) FROM old JOIN pg_attribute AS was ON was.attrelid = old.oid
    JOIN new ON true JOIN pg_attribute AS now ON now.attrelid = new.oid AND now.attname = was.attname
    CROSS JOIN aclexplode(was.attacl) AS acl WHERE NOT was.attisdropped AND NOT now.attisdropped
)
SELECT who, privilege_type || columns AS may, format('GRANT %s%s ON %s TO %s%s', privilege_type, columns,
    CAST(:table AS text), who, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM held, LATERAL (
    SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who
) AS named WHERE grantee <> (SELECT relowner FROM new) ORDER BY who, may""")
_ROW_SECURITY = sa.text("SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(:like)")


def check_replaceable(connection: sa.Connection, target: str, *, what: str) -> None:
    """Raise unless the name is free, or is that of an index that a build has described and this role owns."""
    found = connection.execute(_TAKEN, {"target": target}).one_or_none()
    if found is None:
        return
    if found.relkind != "r" or not found.described:
        raise TargetRefused(
            f"{what}: there is something of that name that no build has made (not a table with a manifest);"
            " it was left as it is; rename it, or build under a free name"
        )
    if not found.ours:
        raise BadInput(
            f"{what}: belongs to role {found.owner!r}, and only its owner may replace it; build as that role,"
            " or make the build's role a member of it"
        )


def check_not_described(connection: sa.Connection, table: str, *, what: str) -> None:
    """Raise where ``table``, which a build is about to drop and to fill, is an index by itself."""
    described = sa.text("SELECT 1 FROM switchover_manifest WHERE target = :target")
    if connection.execute(described, {"target": table}).scalar_one_or_none() is not None:
        raise TargetRefused(
            f"{what}: it would be filled in {table!r}, which is an index with a manifest; it was left as it is;"
            " build under another name"
        )


def grant_as(connection: sa.Connection, *, table: str, like: str) -> str:
    """Grant on ``table`` what is granted on ``like``, both quoted; says for people which role may do what.

    Nothing is granted where rows of ``like`` are hidden by policies: without them readers would see too much.
    """
    hidden = connection.execute(_ROW_SECURITY, {"like": like}).scalar_one_or_none()
    if hidden is None:
        return "its owner, and whom ALTER DEFAULT PRIVILEGES lets in; there was no other index to go by"
    if hidden:
        return f"its owner ONLY: {like} has row security; create the policies here too, GRANT, and switch over then"
    roles: dict[str, list[str]] = defaultdict(list)
    for grant in connection.execute(_GRANTS, {"table": table, "like": like}).all():
        connection.exec_driver_sql(grant.statement)
        roles[grant.who].append(grant.may)
    listed = "; ".join(f"{who}: {', '.join(may)}" for who, may in roles.items())
    return f"as on {like}: {listed or 'its owner'}"
