"""New code in the manner of a file, and calls with other arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence

import libcst as cst

from reviewer.fix.source import Site, Source, Statement, alias


def parsed(text: str, source: Source) -> list[Statement]:
    """Statements from text that calls Alembic `op` and SQLAlchemy `sa`, with the names and the indentation of the
    file.
    """
    if source.indent != "    ":
        text = "\n".join(_indented(line, source.indent) for line in text.split("\n"))
    module = cst.parse_module(text.rstrip("\n") + "\n", config=source.module.config_for_parsing)
    names = {"op": alias(source.module, "alembic.op"), "sa": alias(source.module, "sqlalchemy")}
    renamed = {short: name for short, name in names.items() if name is not None and name != short}
    if renamed:
        module = module.visit(_Renamer(renamed))
    statements = list(module.body)
    if module.header and statements:
        first = statements[0]
        statements[0] = first.with_changes(leading_lines=[*module.header, *first.leading_lines])
    return statements


def _indented(line: str, unit: str) -> str:
    levels, rest = divmod(len(line) - len(line.lstrip(" ")), 4)
    return unit * levels + " " * rest + line.lstrip(" ")


class _Renamer(cst.CSTTransformer):
    """Calls `op` and `sa` what the file calls them."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__()
        self._names = names

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:  # noqa: N802
        match original_node.value:
            case cst.Name(value=name) if name in self._names:
                return updated_node.with_changes(value=cst.parse_expression(self._names[name]))
        return updated_node


def outside_transaction(statements: Sequence[Statement], source: Source, before: str = "") -> cst.With:
    """`statements` in an autocommit block, after the code `before`, with the comments of the first above the block."""
    (block,) = parsed("with op.get_context().autocommit_block():\n    pass", source)
    assert isinstance(block, cst.With)
    first, *others = statements
    leading = first.leading_lines
    inside = [*(parsed(before, source) if before else ()), first.with_changes(leading_lines=()), *others]
    return block.with_changes(body=block.body.with_changes(body=inside), leading_lines=leading)


def in_place(text: str, like: Statement, source: Source) -> list[Statement]:
    """Statements from text that take the place of `like`, with its comments above the first and behind the last."""
    found = parsed(text, source)
    found[0] = found[0].with_changes(leading_lines=[*like.leading_lines, *found[0].leading_lines])
    if isinstance(like, cst.SimpleStatementLine) and isinstance(found[-1], cst.SimpleStatementLine):
        found[-1] = found[-1].with_changes(trailing_whitespace=like.trailing_whitespace)
    return found


def text_of(statements: Sequence[cst.CSTNode], source: Source) -> str:
    """Statements as text without indentation."""
    module = cst.Module(
        [*statements],  # type: ignore[list-item]
        default_indent=source.module.default_indent,
        default_newline="\n",
    )
    return module.code.strip("\n")


def with_call(site: Site, call: cst.Call) -> Statement:
    """The statement of a site with another call, in its batch where it is alone there."""
    changed = site.statement.with_deep_changes(site.statement.body[0], value=call)
    if site.whole is site.statement:
        return changed
    assert site.batch is not None
    return site.batch.with_changes(body=site.batch.body.with_changes(body=[changed]))


def with_option(call: cst.Call, name: str, written: str) -> cst.Call:
    """Return the call with one more keyword argument, laid out like the others; an existing one is changed."""
    value = cst.parse_expression(written)
    args = list(call.args)
    for n, each in enumerate(args):
        if each.keyword is not None and each.keyword.value == name:
            args[n] = each.with_changes(value=value)
            return call.with_changes(args=args)
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    added = cst.Arg(value, keyword=cst.Name(name), equal=equal)
    if not args:
        return call.with_changes(args=[added])
    last = args[-1]
    between = _between(call)
    if isinstance(last.comma, cst.Comma):
        after = last.comma.whitespace_after
        kept = between
        if isinstance(after, cst.ParenthesizedWhitespace) and isinstance(between, cst.ParenthesizedWhitespace):
            kept = after.with_changes(indent=between.indent, last_line=between.last_line)
            after = between.with_changes(indent=after.indent, last_line=after.last_line, empty_lines=())
            after = after.with_changes(first_line=cst.TrailingWhitespace())
        args[-1] = last.with_changes(comma=cst.Comma(whitespace_after=kept))
        added = added.with_changes(comma=cst.Comma(whitespace_after=after))
    else:
        added = added.with_changes(whitespace_after_arg=last.whitespace_after_arg)
        args[-1] = last.with_changes(
            comma=cst.Comma(whitespace_after=between), whitespace_after_arg=cst.SimpleWhitespace("")
        )
    return call.with_changes(args=[*args, added])


def without_option(call: cst.Call, name: str) -> cst.Call:
    """The call without a keyword argument."""
    kept = [each for each in call.args if each.keyword is None or each.keyword.value != name]
    if kept and len(kept) < len(call.args) and kept[-1] is not call.args[-1]:
        last = call.args[-1]
        comma = last.comma
        before = kept[-1].comma.whitespace_after if isinstance(kept[-1].comma, cst.Comma) else None
        if isinstance(comma, cst.Comma) and isinstance(before, cst.ParenthesizedWhitespace):
            after = comma.whitespace_after  # the comment behind the one before stays
            if isinstance(after, cst.ParenthesizedWhitespace):
                comma = comma.with_changes(whitespace_after=after.with_changes(first_line=before.first_line))
        kept[-1] = kept[-1].with_changes(comma=comma, whitespace_after_arg=last.whitespace_after_arg)
    return call.with_changes(args=kept)


def _between(call: cst.Call) -> cst.BaseParenthesizableWhitespace:
    """The white space between two arguments."""
    for each in call.args[:-1]:
        if isinstance(each.comma, cst.Comma):
            after = each.comma.whitespace_after
            if isinstance(after, cst.ParenthesizedWhitespace):
                return after.with_changes(first_line=cst.TrailingWhitespace(), empty_lines=())
            return after
    if isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        return call.whitespace_before_args.with_changes(first_line=cst.TrailingWhitespace(), empty_lines=())
    return cst.SimpleWhitespace(" ")


Text = cst.SimpleString | cst.ConcatenatedString | cst.FormattedString
"""A string literal, with values in it or without."""


def sql_text(node: Text) -> str | None:
    """What a literal says, with a word in the place of each value; None if it is not text."""
    match node:
        case cst.ConcatenatedString(left=cst.SimpleString() | cst.FormattedString() as left, right=right):
            first, second = sql_text(left), sql_text(right) if isinstance(right, Text) else None
            return None if first is None or second is None else first + second
        case cst.SimpleString():
            value = node.evaluated_value
            return value if isinstance(value, str) else None
        case cst.FormattedString():
            return "".join(each.value if isinstance(each, cst.FormattedStringText) else "x" for each in node.parts)
    return None


def template(node: Text) -> str:
    """The same as the inside of an f-string."""
    if isinstance(node, cst.ConcatenatedString):
        right = template(node.right) if isinstance(node.right, Text) else ""
        return template(node.left) + right if isinstance(node.left, Text) else right
    if isinstance(node, cst.FormattedString):
        return "".join(cst.Module([]).code_for_node(each) for each in node.parts)
    return node.value[len(node.prefix) + len(node.quote) : -len(node.quote)].replace("{", "{{").replace("}", "}}")


def with_sql(node: Text, pattern: str, instead: str) -> Text | None:
    """A string literal with what `pattern` matches first replaced; None if it spans several parts."""
    if isinstance(node, cst.ConcatenatedString):
        for side in ("left", "right"):
            part = getattr(node, side)
            changed = with_sql(part, pattern, instead) if isinstance(part, Text) else None
            if changed is not None:
                return node.with_changes(**{side: changed})
        return None
    if isinstance(node, cst.FormattedString):
        for each in node.parts:
            if isinstance(each, cst.FormattedStringText):
                text, count = re.subn(pattern, instead, each.value, count=1, flags=re.IGNORECASE)
                if count:
                    return cst.ensure_type(
                        node.deep_replace(each, each.with_changes(value=text)), cst.FormattedString
                    )
        return None
    text, count = re.subn(pattern, instead, node.value, count=1, flags=re.IGNORECASE)
    return node.with_changes(value=text) if count else None


def with_sql_end(node: cst.BaseExpression, added: str) -> Text | None:
    """A string literal with `added` at the end of its SQL; None if it has no plain end."""
    match node:
        case cst.ConcatenatedString():
            right = with_sql_end(node.right, added)
            return None if right is None else node.with_changes(right=right)
        case cst.FormattedString(parts=[*_, cst.FormattedStringText() as last]) if last.value.strip(" \n;"):
            end = last.with_changes(value=_ended(last.value, added))
            return node.with_changes(parts=[*node.parts[:-1], end])
        case cst.FormattedString(parts=[*_, cst.FormattedStringExpression()]):
            return node.with_changes(parts=[*node.parts, cst.FormattedStringText(added)])
        case cst.SimpleString():
            inside = node.value[len(node.prefix) + len(node.quote) : -len(node.quote)]
            return node.with_changes(value=f"{node.prefix}{node.quote}{_ended(inside, added)}{node.quote}")
    return None


def _ended(sql: str, added: str) -> str:
    text = sql.rstrip().removesuffix(";").rstrip()
    return f"{text}{added}{sql[len(text) :]}"
