"""ALTER: each action of ALTER TABLE becomes one operation, and so does an ALTER of anything else.

sqlglot reads `ALTER TABLE` with ADD COLUMN, DROP, ALTER COLUMN … TYPE, DEFAULT and NOT NULL, and RENAME. What it
turns into a `Command`, or misreads, is noted at each reader here. One such action turns all
the others in the statement into a `Command`, and `NOT VALID` applies to the whole; so each action is read
separately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot.tokenizer_core import TokenType

from reviewer.sql.definitions import (
    at_table_constraint,
    column_definition,
    constraint_attribute,
    table_constraint,
    type_name,
)
from reviewer.sql.kinds import ON_A_TABLE, accept_kind, signature
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddColumn,
    AddEnumValue,
    AddIdentity,
    AlterColumnOptions,
    AlterColumnType,
    AlterConstraint,
    AlterDomain,
    AlterIdentity,
    AlterObject,
    AttachIndex,
    AttachPartition,
    ChangeOwner,
    ClusterOn,
    DetachPartition,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropExpression,
    DropIdentity,
    DropNotNull,
    Inherit,
    Operation,
    Privileges,
    RenameColumn,
    RenameConstraint,
    RenameEnumValue,
    RenameIndex,
    RenameObject,
    RenameTable,
    ReplicaIdentity,
    RowSecurity,
    SetAccessMethod,
    SetDefault,
    SetExpression,
    SetLogged,
    SetNotNull,
    SetSchema,
    SetStorageParameters,
    SetTablespace,
    SetTrigger,
    Unrecognized,
    ValidateConstraint,
)
from reviewer.sql.reader import NotUnderstood, Reader


def alter(reader: Reader) -> Iterator[Operation]:
    """Any ALTER statement; sqlglot: `Command` for all but tables, views, indexes and sessions."""
    reader.expect("ALTER")
    if reader.accept("DEFAULT", "PRIVILEGES"):
        reader.skip_all()
        yield Privileges("alter default privileges")
        return
    if reader.accept("SYSTEM"):
        yield AlterObject("system", Name("system"), reader.rest())
        return
    reader.accept("PROCEDURAL")
    kind = accept_kind(reader)
    if reader.accept("ALL", "IN", "TABLESPACE"):
        yield AlterObject("tablespace", Name(reader.identifier()), reader.rest())
    elif kind in {"table", "foreign table", "view", "materialized view"}:
        yield from _relation(reader, kind)
    elif kind == "index":
        yield from _index(reader)
    elif kind == "type":
        yield from _type(reader)
    elif kind == "domain":
        yield _domain(reader)
    else:
        yield _object(reader, kind)


# -- tables, views, indexes -----------------------------------------------------------------------


def _relation(reader: Reader, kind: str) -> list[Operation]:
    reader.if_exists()
    relation = reader.table()
    if reader.done:
        raise NotUnderstood
    return reader.listed(lambda: _action(reader, relation, kind))


def _action(reader: Reader, relation: Name, kind: str) -> Operation:
    """One action; one that is not understood does not affect the others."""
    start = reader.mark
    try:
        operation = _ACTIONS[reader.expect_any(*_ACTIONS)](reader, relation, kind)
        reader.expect_end()
    except NotUnderstood:
        reader.back_to(start)
        return Unrecognized(reader.rest())
    return operation


def _add(reader: Reader, table: Name, _: str) -> Operation:
    """ADD; sqlglot: `Command` for GENERATED … VIRTUAL, and for all that `definitions` names."""
    if at_table_constraint(reader):
        return table_constraint(reader, table)
    reader.accept("COLUMN")
    if_not_exists = reader.if_not_exists()
    return AddColumn(table, column_definition(reader), if_not_exists)


def _drop(reader: Reader, table: Name, _: str) -> Operation:
    if reader.accept("CONSTRAINT"):
        if_exists = reader.if_exists()
        name = reader.identifier()
        return DropConstraint(table, name, reader.cascade(), if_exists)
    reader.accept("COLUMN")
    if_exists = reader.if_exists()
    column = reader.identifier()
    return DropColumn(table, column, reader.cascade(), if_exists)


_WHEN_CHECKED = frozenset({"deferrable", "not deferrable", "initially deferred", "initially immediate"})


def _alter(reader: Reader, table: Name, _: str) -> Operation:
    """ALTER of a part; sqlglot: `Command` for ALTER CONSTRAINT and for a column of an index, by its number."""
    if reader.accept("CONSTRAINT"):
        name = reader.identifier()
        reader.accept("INHERIT")
        attributes: set[str] = set()
        while attribute := constraint_attribute(reader):
            attributes.add(attribute)
        enforced = None if not attributes & {"enforced", "not enforced"} else "enforced" in attributes
        if not attributes & _WHEN_CHECKED:
            return AlterConstraint(table, name, enforced)
        deferred = "initially deferred" in attributes
        return AlterConstraint(table, name, enforced, deferred or "deferrable" in attributes, deferred)
    reader.accept("COLUMN")
    return _column(reader, table, reader.next().text)


def _column(reader: Reader, table: Name, column: str) -> Operation:
    """ALTER COLUMN; sqlglot: `Command` for identities, expressions, STATISTICS, STORAGE, COMPRESSION and options."""
    if reader.accept("SET", "DATA", "TYPE") or reader.accept("TYPE"):
        new_type = type_name(reader)
        collation = reader.name().sql if reader.accept("COLLATE") else None
        using = reader.text_until() if reader.accept("USING") else None
        return AlterColumnType(table, column, new_type, using, collation)
    if reader.accept("SET", "DEFAULT"):
        return SetDefault(table, column, reader.text_until())
    if reader.accept("DROP", "DEFAULT"):
        return DropDefault(table, column)
    if reader.accept("SET", "NOT", "NULL"):
        return SetNotNull(table, column)
    if reader.accept("DROP", "NOT", "NULL"):
        return DropNotNull(table, column)
    if reader.accept("ADD", "GENERATED"):
        if not reader.accept("ALWAYS"):
            reader.expect("BY", "DEFAULT")
        reader.expect("AS", "IDENTITY")
        reader.skip_group()
        return AddIdentity(table, column)
    if reader.accept("DROP", "IDENTITY"):
        reader.if_exists()
        return DropIdentity(table, column)
    if reader.accept("SET", "EXPRESSION"):
        reader.expect("AS")
        return SetExpression(table, column, reader.group())
    if reader.accept("DROP", "EXPRESSION"):
        reader.if_exists()
        return DropExpression(table, column)
    if reader.word == "RESTART" or any(reader.at("SET", word) for word in _OF_A_SEQUENCE):
        reader.skip_all()
        return AlterIdentity(table, column)
    reader.expect_any("SET", "RESET", "OPTIONS")
    option = reader.accept_any("STATISTICS", "STORAGE", "COMPRESSION") or "OPTIONS"
    reader.skip_all()
    return AlterColumnOptions(table, column, option.lower())


_OF_A_SEQUENCE = (
    "GENERATED", "INCREMENT", "MINVALUE", "MAXVALUE", "START", "CACHE", "CYCLE", "NO", "RESTART", "LOGGED", "UNLOGGED",
)  # fmt: skip


def _rename(reader: Reader, table: Name, kind: str) -> Operation:
    """RENAME; sqlglot: `Command` for a constraint, and a table's new name for `RENAME a TO b`."""
    if reader.accept("TO"):
        new_name = reader.identifier()
        return RenameTable(table, new_name) if kind == "table" else RenameObject(kind, table, new_name)
    if reader.accept("CONSTRAINT"):
        name = reader.identifier()
        reader.expect("TO")
        return RenameConstraint(table, name, reader.identifier())
    reader.accept("COLUMN")
    column = reader.identifier()
    reader.expect("TO")
    return RenameColumn(table, column, reader.identifier())


def _set(reader: Reader, table: Name, kind: str) -> Operation:
    """SET; sqlglot: `Command` for SCHEMA."""
    if reader.at_symbol(TokenType.L_PAREN):
        return _parameters(reader, table, kind)
    if reader.accept("SCHEMA"):
        return SetSchema(kind, table, reader.identifier())
    if reader.accept("TABLESPACE"):
        return SetTablespace(table, reader.identifier())
    if reader.accept("ACCESS", "METHOD"):
        return SetAccessMethod(table, reader.identifier())
    if reader.accept("WITHOUT", "CLUSTER"):
        return ClusterOn(table)
    if reader.accept("WITHOUT", "OIDS"):
        return AlterObject(kind, table, "set without oids")
    return SetLogged(table, reader.expect_any("LOGGED", "UNLOGGED") == "LOGGED")


def _parameters(reader: Reader, table: Name, _: str) -> Operation:
    """SET (…) and RESET (…); sqlglot: `Command` for the latter."""
    return SetStorageParameters(table, tuple(reader.within(lambda: reader.listed(reader.rest))))


def _validate(reader: Reader, table: Name, _: str) -> Operation:
    """VALIDATE CONSTRAINT; sqlglot: `Command`."""
    reader.expect("CONSTRAINT")
    return ValidateConstraint(table, reader.identifier())


def _owner(reader: Reader, table: Name, kind: str) -> Operation:
    """OWNER TO; sqlglot: `Command`."""
    reader.expect("TO")
    return ChangeOwner(kind, table, reader.identifier())


def _enable(reader: Reader, table: Name, _: str) -> Operation:
    """ENABLE of row level security, a trigger or a rule; sqlglot: `Command`."""
    return _switch(reader, table, enabled=True)


def _disable(reader: Reader, table: Name, _: str) -> Operation:
    """DISABLE of the same; sqlglot: `Command`."""
    return _switch(reader, table, enabled=False)


def _switch(reader: Reader, table: Name, *, enabled: bool) -> Operation:
    if reader.accept("ROW", "LEVEL", "SECURITY"):
        return RowSecurity(table, "enable" if enabled else "disable")
    reader.accept_any("REPLICA", "ALWAYS")
    reader.expect_any("TRIGGER", "RULE")
    return SetTrigger(table, reader.identifier(), enabled)


def _force(reader: Reader, table: Name, _: str) -> Operation:
    """FORCE ROW LEVEL SECURITY; sqlglot: `Command`."""
    reader.expect("ROW", "LEVEL", "SECURITY")
    return RowSecurity(table, "force")


def _attach(reader: Reader, table: Name, _: str) -> Operation:
    """ATTACH PARTITION; sqlglot: `Command`."""
    reader.expect("PARTITION")
    partition = reader.name()
    default = reader.accept("DEFAULT")
    if not default:
        reader.expect("FOR", "VALUES")
        reader.skip_all()
    return AttachPartition(table, partition, default)


def _detach(reader: Reader, table: Name, _: str) -> Operation:
    """DETACH PARTITION; sqlglot: `Command`."""
    reader.expect("PARTITION")
    return DetachPartition(table, reader.name(), bool(reader.accept_any("CONCURRENTLY", "FINALIZE")))


def _inherit(reader: Reader, table: Name, _: str) -> Operation:
    """INHERIT; sqlglot: `Command`."""
    return Inherit(table, reader.name())


def _no(reader: Reader, table: Name, kind: str) -> Operation:
    """NO INHERIT, NO FORCE ROW LEVEL SECURITY and NO DEPENDS ON EXTENSION; sqlglot: `Command`."""
    if reader.at("DEPENDS"):
        return _other(reader, table, kind)
    if reader.accept("FORCE", "ROW", "LEVEL", "SECURITY"):
        return RowSecurity(table, "no force")
    reader.expect("INHERIT")
    return Inherit(table, reader.name(), inherit=False)


def _cluster(reader: Reader, table: Name, _: str) -> Operation:
    """CLUSTER ON; sqlglot: `Command`."""
    reader.expect("ON")
    reader.identifier()
    return ClusterOn(table)


def _replica(reader: Reader, table: Name, _: str) -> Operation:
    """REPLICA IDENTITY; sqlglot: `Command`."""
    reader.expect("IDENTITY")
    if reader.accept("USING", "INDEX"):
        reader.identifier()
    else:
        reader.expect_any("DEFAULT", "FULL", "NOTHING")
    return ReplicaIdentity(table)


def _other(reader: Reader, table: Name, kind: str) -> Operation:
    """OF, OPTIONS and DEPENDS ON EXTENSION; sqlglot: `Command`."""
    mark = reader.mark - 1
    reader.skip_all()
    return AlterObject(kind, table, reader.since(mark))


def _not(reader: Reader, table: Name, kind: str) -> Operation:
    """NOT OF; sqlglot: `Command`."""
    if not reader.at("OF"):
        raise NotUnderstood
    return _other(reader, table, kind)


_ACTIONS: dict[str, Callable[[Reader, Name, str], Operation]] = {
    "ADD": _add,
    "ALTER": _alter,
    "ATTACH": _attach,
    "CLUSTER": _cluster,
    "DEPENDS": _other,
    "DETACH": _detach,
    "DISABLE": _disable,
    "DROP": _drop,
    "ENABLE": _enable,
    "FORCE": _force,
    "INHERIT": _inherit,
    "NO": _no,
    "NOT": _not,
    "OF": _other,
    "OPTIONS": _other,
    "OWNER": _owner,
    "RENAME": _rename,
    "REPLICA": _replica,
    "RESET": _parameters,
    "SET": _set,
    "VALIDATE": _validate,
}
"""The reader of each action, by its first word."""


def _index(reader: Reader) -> list[Operation]:
    """ALTER INDEX; sqlglot: `Command` for ATTACH PARTITION and DEPENDS ON EXTENSION."""
    reader.if_exists()
    index = reader.name()
    if reader.accept("RENAME", "TO"):
        return [RenameIndex(index, reader.identifier())]
    if reader.accept("ATTACH", "PARTITION"):
        return [AttachIndex(index, reader.name())]
    return reader.listed(lambda: _action(reader, index, "index"))


# -- types and domains ----------------------------------------------------------------------------


def _type(reader: Reader) -> list[Operation]:
    """ALTER TYPE; sqlglot: `Command`."""
    name = reader.name()
    if reader.accept("ADD", "VALUE"):
        if_not_exists = reader.if_not_exists()
        value = reader.string()
        if reader.accept_any("BEFORE", "AFTER"):
            reader.string()
        return [AddEnumValue(name, value, if_not_exists)]
    if reader.accept("RENAME", "VALUE"):
        value = reader.string()
        reader.expect("TO")
        return [RenameEnumValue(name, value, reader.string())]
    if reader.accept("RENAME", "ATTRIBUTE"):
        attribute = reader.identifier()
        reader.expect("TO")
        operation = RenameObject("attribute", Name(attribute), reader.identifier(), name)
        reader.cascade()
        return [operation]
    common = _common(reader, "type", name, None)
    return [common] if common else [AlterObject("type", name, text) for text in reader.listed(reader.rest)]


def _domain(reader: Reader) -> Operation:
    """ALTER DOMAIN; sqlglot: `Command`."""
    domain = reader.name()
    if reader.accept("ADD"):
        constraint = reader.identifier() if reader.accept("CONSTRAINT") else None
        if reader.accept("CHECK"):
            reader.group()
        else:
            reader.expect("NOT", "NULL")
        return AlterDomain(domain, "add constraint", constraint, reader.accept("NOT", "VALID"))
    if reader.accept("DROP", "CONSTRAINT"):
        reader.if_exists()
        operation = AlterDomain(domain, "drop constraint", reader.identifier())
        reader.cascade()
        return operation
    if reader.accept("VALIDATE", "CONSTRAINT"):
        return AlterDomain(domain, "validate constraint", reader.identifier())
    if reader.accept("RENAME", "CONSTRAINT"):
        operation = AlterDomain(domain, "rename constraint", reader.identifier())
        reader.expect("TO")
        reader.identifier()
        return operation
    if reader.accept("SET", "DEFAULT"):
        reader.text_until()
        return AlterDomain(domain, "set default")
    for action in ("SET NOT NULL", "DROP NOT NULL", "DROP DEFAULT"):
        if reader.accept(*action.split()):
            return AlterDomain(domain, action.lower())
    common = _common(reader, "domain", domain, None)
    if common is None:
        raise NotUnderstood
    return common


# -- everything else ------------------------------------------------------------------------------


def _object(reader: Reader, kind: str) -> Operation:
    reader.if_exists()
    if kind == "user mapping":
        return AlterObject(kind, Name(reader.rest()))
    name = signature(reader)
    table = None
    if kind in ON_A_TABLE:
        reader.expect("ON")
        table = reader.name()
    elif kind in {"operator class", "operator family"}:
        reader.expect("USING")
        reader.identifier()
    return _common(reader, kind, name, table) or AlterObject(kind, name, reader.rest(), table)


def _common(reader: Reader, kind: str, name: Name, table: Name | None) -> Operation | None:
    """What can be done to most objects: RENAME, SET SCHEMA, OWNER TO."""
    if reader.accept("RENAME", "TO"):
        return RenameObject(kind, name, reader.identifier(), table)
    if reader.accept("SET", "SCHEMA"):
        return SetSchema(kind, name, reader.identifier())
    if reader.accept("OWNER", "TO"):
        return ChangeOwner(kind, name, reader.identifier())
    return None
