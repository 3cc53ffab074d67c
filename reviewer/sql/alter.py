"""ALTER: each action of ALTER TABLE is an operation of its own, and so is what ALTER does to anything else."""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.names import Name
from reviewer.operations import (
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
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.definitions import (
    at_table_constraint,
    column_definition,
    constraint_attribute,
    table_constraint,
    type_name,
)
from reviewer.sql.kinds import ON_A_TABLE, accept_kind, signature


def alter(cursor: Cursor) -> Iterator[Operation]:
    """Any ALTER statement."""
    cursor.expect("alter")
    if cursor.accept("default", "privileges"):
        cursor.skip_all()
        yield Privileges("alter default privileges")
        return
    if cursor.accept("system"):
        yield AlterObject("system", Name("system"), cursor.rest())
        return
    cursor.accept("procedural")
    kind = accept_kind(cursor)
    if cursor.accept("all", "in", "tablespace"):
        yield AlterObject("tablespace", Name(cursor.identifier()), cursor.rest())
    elif kind in {"table", "foreign table", "view", "materialized view"}:
        yield from _relation(cursor, kind)
    elif kind == "index":
        yield from _index(cursor)
    elif kind == "type":
        yield from _type(cursor)
    elif kind == "domain":
        yield _domain(cursor)
    else:
        yield _object(cursor, kind)


# -- tables, views, indexes -----------------------------------------------------------------------


def _relation(cursor: Cursor, kind: str) -> Iterator[Operation]:
    cursor.if_exists()
    relation = cursor.table()
    if cursor.done:
        raise NotUnderstood
    for action in cursor.split():
        yield _one_action(action, relation, kind)


def _one_action(action: Cursor, relation: Name, kind: str) -> Operation:
    start = action.mark
    try:
        operation = _action(action, relation, kind)
        action.expect_end()
    except NotUnderstood:
        action.back_to(start)
        return Unrecognized(action.rest())
    return operation


def _action(action: Cursor, table: Name, kind: str) -> Operation:
    word = action.expect_any(
        "add", "alter", "attach", "cluster", "detach", "disable", "drop", "enable", "force", "inherit", "no", "not",
        "of", "options", "owner", "rename", "replica", "reset", "set", "validate", "depends",
    )  # fmt: skip
    match word:
        case "add":
            return _add(action, table)
        case "alter":
            return _alter_part(action, table)
        case "drop":
            return _drop(action, table)
        case "rename":
            return _rename(action, table, kind)
        case "set":
            return _set(action, table, kind)
        case "reset":
            return SetStorageParameters(table, _parameters(action))
        case "validate":
            action.expect("constraint")
            return ValidateConstraint(table, action.identifier())
        case "owner":
            action.expect("to")
            return ChangeOwner(kind, table, action.identifier())
        case "enable" | "disable":
            return _switch(action, table, enabled=word == "enable")
        case "force":
            action.expect("row", "level", "security")
            return RowSecurity(table, "force")
        case "attach":
            return _attach(action, table)
        case "detach":
            action.expect("partition")
            return DetachPartition(table, action.name(), bool(action.accept_any("concurrently", "finalize")))
        case "inherit":
            return Inherit(table, action.name())
        case "no":
            if action.accept("force", "row", "level", "security"):
                return RowSecurity(table, "no force")
            action.expect("inherit")
            return Inherit(table, action.name(), inherit=False)
        case "cluster":
            action.expect("on")
            action.identifier()
            return ClusterOn(table)
        case "replica":
            action.expect("identity")
            if action.accept("using", "index"):
                action.identifier()
            else:
                action.expect_any("default", "full", "nothing")
            return ReplicaIdentity(table)
    if word == "not":
        action.expect("of")
    mark = action.mark - 1
    action.skip_all()
    return AlterObject(kind, table, action.since(mark))


def _add(action: Cursor, table: Name) -> Operation:
    if at_table_constraint(action):
        return table_constraint(action, table)
    action.accept("column")
    if_not_exists = action.if_not_exists()
    return AddColumn(table, column_definition(action), if_not_exists)


def _drop(action: Cursor, table: Name) -> Operation:
    if action.accept("constraint"):
        if_exists = action.if_exists()
        name = action.identifier()
        return DropConstraint(table, name, action.cascade(), if_exists)
    action.accept("column")
    if_exists = action.if_exists()
    column = action.identifier()
    return DropColumn(table, column, action.cascade(), if_exists)


def _alter_part(action: Cursor, table: Name) -> Operation:
    if action.accept("constraint"):
        name = action.identifier()
        action.accept_any("inherit")
        while constraint_attribute(action):
            pass
        return AlterConstraint(table, name)
    action.accept("column")
    token = action.next()  # by number, where it is an index's
    return _alter_column(action, table, token.value)


def _alter_column(action: Cursor, table: Name, column: str) -> Operation:
    if action.accept("set", "data", "type") or action.accept("type"):
        return _column_type(action, table, column)
    if action.accept("set", "default"):
        return SetDefault(table, column, action.expression())
    if action.accept("drop", "default"):
        return DropDefault(table, column)
    if action.accept("set", "not", "null"):
        return SetNotNull(table, column)
    if action.accept("drop", "not", "null"):
        return DropNotNull(table, column)
    if action.accept("add", "generated"):
        if not action.accept("always"):
            action.expect("by", "default")
        action.expect("as", "identity")
        action.skip_group()
        return AddIdentity(table, column)
    if action.accept("drop", "identity"):
        action.if_exists()
        return DropIdentity(table, column)
    if action.accept("set", "expression"):
        action.expect("as")
        return SetExpression(table, column, action.group())
    if action.accept("drop", "expression"):
        action.if_exists()
        return DropExpression(table, column)
    if action.at("set", "generated") or action.word == "restart" or _sets_sequence_option(action):
        action.skip_all()
        return AlterIdentity(table, column)
    action.expect_any("set", "reset", "options")
    option = action.accept_any("statistics", "storage", "compression") or "options"
    action.skip_all()
    return AlterColumnOptions(table, column, option)


def _sets_sequence_option(action: Cursor) -> bool:
    words = ("increment", "minvalue", "maxvalue", "start", "cache", "cycle", "no", "restart", "logged", "unlogged")
    return any(action.at("set", word) for word in words)


def _column_type(action: Cursor, table: Name, column: str) -> AlterColumnType:
    new_type = type_name(action)
    collation = action.name().sql if action.accept("collate") else None
    using = action.expression() if action.accept("using") else None
    return AlterColumnType(table, column, new_type, using, collation)


def _rename(action: Cursor, table: Name, kind: str) -> Operation:
    if action.accept("to"):
        new_name = action.identifier()
        return RenameTable(table, new_name) if kind == "table" else RenameObject(kind, table, new_name)
    if action.accept("constraint"):
        name = action.identifier()
        action.expect("to")
        return RenameConstraint(table, name, action.identifier())
    action.accept("column")
    column = action.identifier()
    action.expect("to")
    return RenameColumn(table, column, action.identifier())


def _set(action: Cursor, table: Name, kind: str) -> Operation:
    if action.at_symbol("("):
        return SetStorageParameters(table, _parameters(action))
    if action.accept("schema"):
        return SetSchema(kind, table, action.identifier())
    if action.accept("tablespace"):
        return SetTablespace(table, action.identifier())
    if action.accept("access", "method"):
        return SetAccessMethod(table, action.identifier())
    if action.accept("without", "cluster"):
        return ClusterOn(table)
    if action.accept("without", "oids"):
        return AlterObject(kind, table, "set without oids")
    return SetLogged(table, action.expect_any("logged", "unlogged") == "logged")


def _parameters(action: Cursor) -> tuple[str, ...]:
    return tuple(part.rest() for part in action.inside().split())


def _switch(action: Cursor, table: Name, *, enabled: bool) -> Operation:
    if action.accept("row", "level", "security"):
        return RowSecurity(table, "enable" if enabled else "disable")
    action.accept_any("replica", "always")
    action.expect_any("trigger", "rule")
    return SetTrigger(table, action.identifier(), enabled)


def _attach(action: Cursor, table: Name) -> AttachPartition:
    action.expect("partition")
    partition = action.name()
    default = action.accept("default")
    if not default:
        action.expect("for", "values")
        action.skip_all()
    return AttachPartition(table, partition, default)


def _index(cursor: Cursor) -> Iterator[Operation]:
    cursor.if_exists()
    index = cursor.name()
    if cursor.accept("rename", "to"):
        yield RenameIndex(index, cursor.identifier())
    elif cursor.accept("attach", "partition"):
        yield AttachIndex(index, cursor.name())
    elif cursor.at("depends") or cursor.at("no", "depends"):
        yield AlterObject("index", index, cursor.rest())
    else:
        for action in cursor.split():
            yield _one_action(action, index, "index")


# -- types and domains ----------------------------------------------------------------------------


def _type(cursor: Cursor) -> Iterator[Operation]:
    name = cursor.name()
    if cursor.accept("add", "value"):
        if_not_exists = cursor.if_not_exists()
        value = cursor.string()
        if cursor.accept_any("before", "after"):
            cursor.string()
        yield AddEnumValue(name, value, if_not_exists)
    elif cursor.accept("rename", "value"):
        value = cursor.string()
        cursor.expect("to")
        yield RenameEnumValue(name, value, cursor.string())
    elif cursor.accept("rename", "attribute"):
        attribute = cursor.identifier()
        cursor.expect("to")
        yield RenameObject("attribute", Name(attribute), cursor.identifier(), name)
        cursor.cascade()
    elif (common := _common(cursor, "type", name, None)) is not None:
        yield common
    else:
        for action in cursor.split():
            yield AlterObject("type", name, action.rest())


def _domain(cursor: Cursor) -> Operation:
    domain = cursor.name()
    if cursor.accept("add"):
        constraint = cursor.identifier() if cursor.accept("constraint") else None
        if cursor.accept("check"):
            cursor.group()
        else:
            cursor.expect("not", "null")
        return AlterDomain(domain, "add constraint", constraint, cursor.accept("not", "valid"))
    if cursor.accept("drop", "constraint"):
        cursor.if_exists()
        operation = AlterDomain(domain, "drop constraint", cursor.identifier())
        cursor.cascade()
        return operation
    if cursor.accept("validate", "constraint"):
        return AlterDomain(domain, "validate constraint", cursor.identifier())
    if cursor.accept("rename", "constraint"):
        operation = AlterDomain(domain, "rename constraint", cursor.identifier())
        cursor.expect("to")
        cursor.identifier()
        return operation
    if cursor.accept("set", "default"):
        cursor.expression()
        return AlterDomain(domain, "set default")
    for action in ("set not null", "drop not null", "drop default"):
        if cursor.accept(*action.split()):
            return AlterDomain(domain, action)
    return _common(cursor, "domain", domain, None) or _fail()


# -- everything else ------------------------------------------------------------------------------


def _object(cursor: Cursor, kind: str) -> Operation:
    cursor.if_exists()
    if kind == "user mapping":
        return AlterObject(kind, Name(cursor.rest()))
    name = signature(cursor)
    table = None
    if kind in ON_A_TABLE:
        cursor.expect("on")
        table = cursor.name()
    elif kind in {"operator class", "operator family"}:
        cursor.expect("using")
        cursor.identifier()
    return _common(cursor, kind, name, table) or AlterObject(kind, name, cursor.rest(), table)


def _common(cursor: Cursor, kind: str, name: Name, table: Name | None) -> Operation | None:
    """What can be done to most objects: another name, schema or owner."""
    if cursor.accept("rename", "to"):
        return RenameObject(kind, name, cursor.identifier(), table)
    if cursor.accept("set", "schema"):
        return SetSchema(kind, name, cursor.identifier())
    if cursor.accept("owner", "to"):
        return ChangeOwner(kind, name, cursor.identifier())
    return None


def _fail() -> Operation:
    raise NotUnderstood
