"""Every single check of a source, removed or inverted: one mutant each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


class Mutant(NamedTuple):
    """A source with one change."""

    line: int
    where: str
    """Name of the function, its class before it."""
    before: str
    after: str
    source: str


class _Change(NamedTuple):
    """Put ``new`` where ``field`` of ``parent`` (at ``index``, in a list) holds ``old``."""

    parent: ast.AST
    field: str
    index: int | None
    old: ast.AST
    new: ast.AST
    where: str


def mutants(source: str) -> Iterator[Mutant]:
    """Mutants of a source; two changes that come to the same are one."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for change in list(_changes(tree, "")):
        _put(change, change.new)
        text = ast.unparse(ast.fix_missing_locations(tree))
        _put(change, change.old)
        if text in seen:
            continue
        seen.add(text)
        line = getattr(change.old, "lineno", 0) or getattr(change.parent, "lineno", 0)
        before, after = (_shown(node) for node in (change.old, change.new))
        yield Mutant(line, change.where, before, after, text)


def _put(change: _Change, node: ast.AST) -> None:
    if change.index is None:
        setattr(change.parent, change.field, node)
    else:
        getattr(change.parent, change.field)[change.index] = node


def _shown(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _changes(node: ast.AST, where: str) -> Iterator[_Change]:
    """Changes of everything below a node, in the order of the source."""
    for field, held in ast.iter_fields(node):
        children = held if isinstance(held, list) else [held]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST):
                continue
            place = index if isinstance(held, list) else None
            for new in _alternatives(node, field, child):
                yield _Change(node, field, place, child, new, where)
            is_named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield from _changes(child, f"{where}.{child.name}".lstrip(".") if is_named else where)


def _alternatives(parent: ast.AST, field: str, node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING":
        # What only a type checker sees is no check.
        return
    if _is_condition(parent, field) and isinstance(node, ast.expr):
        if not _is_inverted_below(node):
            yield ast.UnaryOp(ast.Not(), node)
        # An endless loop tells of nothing but the time limit.
        yield from _constants(node, *((False,) if isinstance(parent, ast.While) else (True, False)))
    match node:
        case ast.Raise():
            yield ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield ast.Pass()
        case ast.Compare(ops=ops):
            for position, op in enumerate(ops):
                flipped = [*ops[:position], _FLIPPED[type(op)](), *ops[position + 1 :]]
                yield ast.Compare(node.left, flipped, node.comparators)
        case ast.BoolOp(values=values):
            for position in range(len(values)):
                kept = values[:position] + values[position + 1 :]
                yield kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand


def _is_condition(parent: ast.AST, field: str) -> bool:
    return (field == "test" and isinstance(parent, ast.If | ast.IfExp | ast.While)) or (
        (field == "guard" and isinstance(parent, ast.match_case))
        or (field == "ifs" and isinstance(parent, ast.comprehension))
    )


def _is_inverted_below(node: ast.expr) -> bool:
    """Say whether a change of the node itself is its inversion already."""
    match node:
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Compare(
            ops=[ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn() | ast.Is() | ast.IsNot()]
        ):
            return True
    return False


def _constants(node: ast.expr, *values: bool) -> Iterator[ast.expr]:
    """Constant conditions that still bind what the condition binds with ``:=``."""
    binds = any(isinstance(each, ast.NamedExpr) for each in ast.walk(node))
    for value in values:
        constant = ast.Constant(value)
        if not binds:
            yield constant
        elif value:
            yield ast.BoolOp(ast.Or(), [node, constant])
        else:
            yield ast.BoolOp(ast.And(), [node, constant])
