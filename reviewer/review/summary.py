"""What operations do, in one phrase for a person, names in back-ticks: adds `users.age`, drops table `logs`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from reviewer.sql import operations as op

_SHOWN = 3


NOTHING = "changes nothing"


def describe(operations: Iterable[op.Operation], shown: int = _SHOWN) -> str:
    """The first `shown` things that the operations do and how many more, or `changes nothing`.

    What only reads, or concerns only the session and its transaction, is not mentioned.
    """
    phrases = list(dict.fromkeys(phrase for phrase in map(_phrase, operations) if phrase))
    if not phrases:
        return NOTHING
    rest = len(phrases) - shown if len(phrases) > shown + 1 else 0
    told = [*_with_one_verb(phrases[: len(phrases) - rest], rest)]
    return ", ".join(told) + (f" and {rest} more" if rest else "")


_ONE_NAME = re.compile(r"([^`]+)(`[^`]*`)([^`]*)")


def _with_one_verb(phrases: Sequence[str], rest: int) -> Iterator[str]:
    """The phrases, those as one that differ in nothing but a name: adds `users.age` and `users.name`. So many more follow as
    `rest` says.
    """

    def frame(phrase: str) -> tuple[str, str] | str:
        found = _ONE_NAME.fullmatch(phrase)
        return (found[1], found[3]) if found else phrase

    groups = [(key, [*alike]) for key, alike in itertools.groupby(phrases, frame)]
    for number, (key, alike) in enumerate(groups, 1):
        if isinstance(key, str):
            yield from alike
            continue
        before, after = key
        *names, last = (each.removeprefix(before).removesuffix(after) for each in alike)
        goes_on = rest and number == len(groups) and not after
        joined = ", ".join(names)
        yield f"{_plural(before)}{joined}{', ' if goes_on else ' and '}{last}{after}" if names else alike[0]


def _plural(before: str) -> str:
    """What comes before several names: `drops tables`, but `inserts into`."""
    _, *more = words = before.split()
    if not more or more[-1] in {"from", "into", "of", "on"}:
        return before
    return f"{' '.join(words)}{'es' if words[-1].endswith('x') else 's'} "


def _phrase(operation: op.Operation) -> str:
    match operation:
        case op.Select() | op.SetVariable() | op.TransactionControl() | op.SessionCommand():
            return ""
        case op.Insert() | op.Update() | op.Delete() | op.Merge() | op.Truncate() | op.Copy():
            return _rows(operation)
        case op.Unrecognized():
            return "runs SQL that is not understood"
        case op.DoBlock():
            return "runs a DO block"
        case op.Call(procedure):
            return f"calls `{procedure}`"
    return (
        _table(operation) or _column(operation) or _constraint(operation) or _index(operation) or _object(operation)
    )


def _rows(operation: op.Operation) -> str:
    match operation:
        case op.Insert(table):
            return f"inserts into `{table}`"
        case op.Update(table):
            return f"updates `{table}`"
        case op.Delete(table):
            return f"deletes from `{table}`"
        case op.Merge(table):
            return f"merges into `{table}`"
        case op.Truncate(table):
            return f"empties `{table}`"
        case op.Copy(table, into) if into:
            return f"copies into `{table}`"
    return ""


def _table(operation: op.Operation) -> str:
    match operation:
        case op.CreateTable(table, partition_of=parent):
            return f"creates table `{table}`" if parent is None else f"creates partition `{table}` of `{parent}`"
        case op.DropTable(table):
            return f"drops table `{table}`"
        case op.RenameTable(table, new_name):
            return f"renames table `{table}` to `{new_name}`"
        case op.SetSchema(kind, name, schema):
            return f"moves {kind} `{name}` to schema `{schema}`"
        case op.AttachPartition(table, partition):
            return f"attaches partition `{partition}` to `{table}`"
        case op.DetachPartition(table, partition):
            return f"detaches partition `{partition}` from `{table}`"
        case op.LockTable(table, mode):
            return f"locks `{table}` in {mode} mode"
        case op.Vacuum(table):
            return f"vacuums {_or_all(table)}"
        case op.Cluster(table):
            return f"clusters {_or_all(table)}"
        case op.Repack(table):
            return f"repacks {_or_all(table)}"
        case op.Analyze(table):
            return f"analyzes {_or_all(table)}"
        case op.SetLogged(table) | op.SetTablespace(table) | op.SetAccessMethod(table):
            return f"changes the storage of `{table}`"
        case op.SetStorageParameters(table) | op.ReplicaIdentity(table) | op.ClusterOn(table) | op.Inherit(table):
            return f"changes settings of `{table}`"
        case op.RowSecurity(table, action):
            return f"{action}s row level security on `{table}`"
        case op.SetTrigger(table, name, enabled):
            return f"{'enables' if enabled else 'disables'} trigger `{name}` on `{table}`"
    return ""


def _column(operation: op.Operation) -> str:
    match operation:
        case op.AddColumn(table, column):
            return f"adds `{table}.{column.name}`"
        case op.DropColumn(table, column):
            return f"drops `{table}.{column}`"
        case op.RenameColumn(table, column, new_name):
            return f"renames `{table}.{column}` to `{new_name}`"
        case op.AlterColumnType(table, column, new_type):
            return f"makes `{table}.{column}` `{new_type}`"
        case op.SetNotNull(table, column):
            return f"makes `{table}.{column}` NOT NULL"
        case op.DropNotNull(table, column):
            return f"makes `{table}.{column}` nullable"
        case op.SetDefault(table, column):
            return f"sets the default of `{table}.{column}`"
        case op.DropDefault(table, column):
            return f"drops the default of `{table}.{column}`"
        case op.AddIdentity(table, column) | op.AlterIdentity(table, column) | op.DropIdentity(table, column):
            return f"changes the identity of `{table}.{column}`"
        case op.SetExpression(table, column) | op.DropExpression(table, column):
            return f"changes the expression of `{table}.{column}`"
        case op.AlterColumnOptions(table, column):
            return f"changes settings of `{table}.{column}`"
    return ""


def _constraint(operation: op.Operation) -> str:
    match operation:
        case op.AddForeignKey(table, name, key):
            return f"adds {_named('foreign key', name)} from `{table}` to `{key.referenced}`"
        case op.AddCheck(table, name):
            return f"adds {_named('check', name)} on `{table}`"
        case op.AddNotNull(table, _, column):
            return f"makes `{table}.{column}` NOT NULL"
        case op.AddUnique(table, name):
            return f"adds {_named('unique constraint', name)} on `{table}`"
        case op.AddPrimaryKey(table):
            return f"adds a primary key on `{table}`"
        case op.AddExclusion(table, name):
            return f"adds {_named('exclusion constraint', name)} on `{table}`"
        case op.DropConstraint(table, name):
            return f"drops constraint `{name}` of `{table}`"
        case op.RenameConstraint(table, name, new_name):
            return f"renames constraint `{name}` of `{table}` to `{new_name}`"
        case op.ValidateConstraint(table, name):
            return f"validates constraint `{name}` of `{table}`"
        case op.AlterConstraint(table, name, bool() as enforced):
            return f"{'enforces' if enforced else 'no longer enforces'} constraint `{name}` of `{table}`"
        case op.AlterConstraint(table, name):
            return f"changes constraint `{name}` of `{table}`"
    return ""


def _index(operation: op.Operation) -> str:
    match operation:
        case op.CreateIndex(table, name):
            return f"creates {_named('index', name)} on `{table}`"
        case op.DropIndex(index):
            return f"drops index `{index}`"
        case op.RenameIndex(index, new_name):
            return f"renames index `{index}` to `{new_name}`"
        case op.AttachIndex(index, partition):
            return f"attaches index `{partition}` to `{index}`"
        case op.Reindex(kind, name):
            return f"rebuilds {kind} `{name}`" if name else f"rebuilds the {kind}"
    return ""


def _object(operation: op.Operation) -> str:
    match operation:
        case op.CreateView(view, replace, materialized):
            return f"{'replaces' if replace else 'creates'} {_view(materialized=materialized)} `{view}`"
        case op.DropView(view, _, materialized):
            return f"drops {_view(materialized=materialized)} `{view}`"
        case op.RefreshMaterializedView(view):
            return f"refreshes `{view}`"
        case op.CreateEnum(name):
            return f"creates type `{name}`"
        case op.AddEnumValue(name, value):
            return f"adds `{value}` to type `{name}`"
        case op.RenameEnumValue(name, value, new_value):
            return f"renames `{value}` of type `{name}` to `{new_value}`"
        case op.CreateDomain(name):
            return f"creates domain `{name}`"
        case op.AlterDomain(name):
            return f"changes domain `{name}`"
        case op.CreateObject(kind, name, table=table):
            return f"creates {kind} `{name}`{_on(table)}"
        case op.AlterObject(kind, name, table=table):
            return f"changes {kind} `{name}`{_on(table)}"
        case op.DropObject(kind, name, table=table):
            return f"drops {kind} `{name}`{_on(table)}"
        case op.RenameObject(kind, name, new_name, table):
            return f"renames {kind} `{name}`{_on(table)} to `{new_name}`"
        case op.ChangeOwner(kind, name, owner):
            return f"gives {kind} `{name}` to `{owner}`"
        case op.Privileges():
            return "changes privileges"
        case op.Comment(kind, name):
            return f"comments on {kind} `{name}`"
    return ""


def _named(kind: str, name: str | None) -> str:
    return f"{kind} `{name}`" if name else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _view(*, materialized: bool) -> str:
    return "materialized view" if materialized else "view"


def _on(table: object) -> str:
    return f" on `{table}`" if table else ""


def _or_all(table: object) -> str:
    return f"`{table}`" if table else "the database"
