"""From expressions to one code object.

Python's own syntax tree is built node by node; what a user wrote stands in it as constants only, never as
source text, and the functions made from it see an empty `__builtins__` and the operators of functions.py.
Every function has the arguments (g, m, a): `g` is the fields' `get`, `m` the message, `a` the aggregates.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any, Final, TypeAlias

from twin.state.rules import functions
from twin.state.rules.functions import FUNCTIONS, glob
from twin.state.rules.syntax import Expr

Compiled: TypeAlias = Callable[[Any, Any, Any], Any]

ORDERS: Final[dict[str, type[ast.cmpop]]] = {"<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE}
MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
CONDITIONS: Final = frozenset({"compare", "and", "or", "not", "in", "like", "between", "is"})
_HELPERS: Final = {"U": functions.U, "float": float, "int": int}
_AT: Final[dict[str, Any]] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}


class Compiler:
    """Collects the expressions of a rule; `functions` compiles them all at once."""

    def __init__(self, *, is_aws: bool) -> None:
        self._is_aws = is_aws
        self._names: dict[str, Any] = {"__builtins__": {}, **_HELPERS}
        self._bodies: dict[str, ast.expr] = {}
        self._count = 0

    def add(self, name: str, expr: Expr, *, substitutes: str = "shown") -> None:
        """Compile an expression under a name.

        `substitutes` says what becomes of the values in a template: `shown` to people, `safe` in the name
        of a thing or a topic.
        """
        self._bodies[name] = self._compiled(expr, substitutes)

    def functions(self) -> Mapping[str, Compiled]:
        """A function for each expression."""
        body = [self._function(f"f{number}", value) for number, value in enumerate(self._bodies.values())]
        module = ast.Module(body=list[ast.stmt](body), type_ignores=[])
        code: CodeType = compile(module, "<rule>", "exec", dont_inherit=True)
        codes = {each.co_name: each for each in code.co_consts if isinstance(each, CodeType)}
        return {
            name: FunctionType(codes[f"f{number}"], self._names, name)
            for number, name in enumerate(self._bodies)
        }

    def _function(self, name: str, value: ast.expr) -> ast.FunctionDef:
        arguments = ast.arguments(
            posonlyargs=[],
            args=[ast.arg(arg=each, **_AT) for each in ("g", "m", "a")],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        body: list[ast.stmt] = [ast.Return(value=value, **_AT)]
        return ast.FunctionDef(name=name, args=arguments, body=body, decorator_list=[], **_AT)

    def _compiled(self, expr: Expr, substitutes: str) -> ast.expr:
        done: list[ast.expr] = []
        for each in expr.bottom_up():
            count = len(each.args)
            args = done[len(done) - count :]
            del done[len(done) - count :]
            done.append(self._node(each, args, substitutes))
        return done[0]

    # pieces of Python's tree ------------------------------------------------------------------------------

    def _load(self, name: str) -> ast.expr:
        return ast.Name(id=name, ctx=ast.Load(), **_AT)

    def _constant(self, value: Any) -> ast.expr:
        return ast.Constant(value=value, **_AT)

    def _new_name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _kept(self, value: ast.expr) -> tuple[str, ast.expr]:
        """A value given a name, and the expression that does it."""
        name = self._new_name("v")
        target = ast.Name(id=name, ctx=ast.Store(), **_AT)
        return name, ast.NamedExpr(target=target, value=value, **_AT)

    def _global(self, value: Any) -> ast.expr:
        """Something that is no constant of Python, reached by a name of our own."""
        name = self._new_name("k")
        self._names[name] = value
        return self._load(name)

    def _helper(self, name: str, *args: ast.expr) -> ast.expr:
        """A call of an operator from functions.py, by name."""
        if name not in self._names:
            self._names[name] = getattr(functions, name)
        return ast.Call(func=self._load(name), args=list(args), keywords=[], **_AT)

    def _called(self, work: Callable[..., Any], *args: ast.expr) -> ast.expr:
        return ast.Call(func=self._global(work), args=list(args), keywords=[], **_AT)

    def _is(self, left: ast.expr, right: ast.expr) -> ast.expr:
        """Identity; a literal on the left is reached by a name, as Python warns of it."""
        if isinstance(left, ast.Constant) and not isinstance(left.value, bool | None):
            left = self._global(left.value)
        return ast.Compare(left=left, ops=[ast.Is()], comparators=[right], **_AT)

    def _if(self, test: ast.expr, then: ast.expr, otherwise: ast.expr) -> ast.expr:
        return ast.IfExp(test=test, body=then, orelse=otherwise, **_AT)

    def _any(self, *tests: ast.expr) -> ast.expr:
        return tests[0] if len(tests) == 1 else ast.BoolOp(op=ast.Or(), values=list(tests), **_AT)

    def _all(self, *tests: ast.expr) -> ast.expr:
        return tests[0] if len(tests) == 1 else ast.BoolOp(op=ast.And(), values=list(tests), **_AT)

    def _class_of(self, value: ast.expr) -> ast.expr:
        return ast.Attribute(value=value, attr="__class__", ctx=ast.Load(), **_AT)

    @property
    def _undefined(self) -> ast.expr:
        return self._load("U")

    # nodes ------------------------------------------------------------------------------------------------

    def _node(self, each: Expr, args: list[ast.expr], substitutes: str) -> ast.expr:
        match each.op:
            case "literal":
                return self._constant(each.value)
            case "field":
                call = [self._constant(each.value), self._undefined]
                return ast.Call(func=self._load("g"), args=call, keywords=[], **_AT)
            case "get" | "item":
                return self._helper(each.op, args[0], self._constant(each.value))
            case "aggregate":
                index = self._constant(each.value)
                return ast.Subscript(value=self._load("a"), slice=index, ctx=ast.Load(), **_AT)
            case "and" | "or" | "not":
                return self._logic(each, args)
            case "compare":
                return self._compare(each, args)
            case "in" | "between" | "like" | "is":
                return self._test(each, args)
            case "case":
                return self._case(each, args)
            case "call":
                return self._call(each, args)
            case "object":
                return self._helper("make_object", self._constant(each.value), *args)
            case "array":
                return self._helper("make_array", *args)
            case "template":
                return self._template(each, args, substitutes)
        return self._arithmetic(each.op, args)

    def _logic(self, each: Expr, args: list[ast.expr]) -> ast.expr:
        if self._is_aws:
            return self._helper(f"aws_{each.op}", *args)
        known = [self._condition(inner, arg) for inner, arg in zip(each.args, args)]
        kept = [self._kept(arg) for arg in known]
        if each.op == "not":
            name, value = kept[0]
            opposite = ast.UnaryOp(op=ast.Not(), operand=self._load(name), **_AT)
            return self._if(self._is(value, self._undefined), self._undefined, opposite)
        decides = self._constant(each.op == "or")
        first = self._any(*(self._is(value, decides) for _, value in kept))
        if each.op == "and":
            rest = self._all(*(self._load(name) for name, _ in kept))
        else:
            rest = self._all(*(self._is(self._load(name), self._constant(False)) for name, _ in kept))
        otherwise = self._if(rest, self._constant(each.op == "and"), self._undefined)
        return self._if(first, decides, otherwise)

    def _condition(self, expr: Expr, arg: ast.expr) -> ast.expr:
        """The argument as True, False or Undefined."""
        is_one = expr.op in CONDITIONS or (expr.op == "literal" and isinstance(expr.value, bool))
        if expr.op == "call":
            is_one = FUNCTIONS[expr.value].is_condition
        return arg if is_one else self._helper("logical", arg)

    def _compare(self, each: Expr, args: list[ast.expr]) -> ast.expr:
        left, right = each.args
        if _is_constant(left) and not _is_constant(right):
            return self._with_constant(args[1], MIRRORED[each.value], left.value)
        if _is_constant(right):
            return self._with_constant(args[0], each.value, right.value)
        return self._general(each.value, *args)

    def _general(self, sign: str, left: ast.expr, right: ast.expr) -> ast.expr:
        if sign in ORDERS:
            make = functions.aws_ordering if self._is_aws else functions.ordering
            return self._called(make(sign), left, right)
        return self._helper("equal" if sign == "=" else "unequal", left, right)

    def _with_constant(self, value: ast.expr, sign: str, constant: Any) -> ast.expr:
        """The usual case without a call: a value against a number or a text."""
        name, kept = self._kept(value)
        if sign in ORDERS:
            if isinstance(constant, str):
                return self._general(sign, value, self._constant(constant))
            holds = ast.Compare(
                left=self._load(name), ops=[ORDERS[sign]()], comparators=[self._constant(constant)], **_AT
            )
            is_number = self._any(*(self._is(*each) for each in self._classes(name, kept)))
            otherwise = self._undefined
            if self._is_aws:
                otherwise = self._general(sign, self._load(name), self._constant(constant))
            return self._if(is_number, holds, otherwise)
        op: ast.cmpop = ast.Eq() if sign == "=" else ast.NotEq()
        holds = ast.Compare(left=self._load(name), ops=[op], comparators=[self._constant(constant)], **_AT)
        if isinstance(constant, str):
            return self._if(self._is(kept, self._undefined), self._undefined, holds)
        is_number = self._any(*(self._is(*each) for each in self._classes(name, kept)))
        is_undefined = self._is(self._load(name), self._undefined)
        other = self._if(is_undefined, self._undefined, self._constant(sign == "!="))
        return self._if(is_number, holds, other)

    def _classes(self, name: str, kept: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
        """The two classes of numbers, each with the class of the value."""
        return [
            (self._class_of(kept), self._load("float")),
            (self._class_of(self._load(name)), self._load("int")),
        ]

    def _test(self, each: Expr, args: list[ast.expr]) -> ast.expr:
        match each.op:
            case "in":
                return self._helper("among", *args)
            case "between":
                return self._helper("aws_between" if self._is_aws else "between", *args)
            case "like":
                return self._helper("like", args[0], self._global(glob(each.value)))
        wanted = self._undefined if each.value == "undefined" else self._constant(None)
        return self._is(args[0], wanted)

    def _case(self, each: Expr, args: list[ast.expr]) -> ast.expr:
        rest = args[-1] if each.value else self._undefined
        pairs = args[:-1] if each.value else args
        for when, then in reversed(list(zip(pairs[::2], pairs[1::2]))):
            rest = self._if(self._is(when, self._constant(True)), then, rest)
        return rest

    def _call(self, each: Expr, args: list[ast.expr]) -> ast.expr:
        function = FUNCTIONS[each.value]
        asked = [self._load("m")] if function.asks_message else []
        return self._called(function.work, *asked, *args)

    def _template(self, each: Expr, args: list[ast.expr], substitutes: str) -> ast.expr:
        if substitutes == "shown":
            return self._helper("shown", *args)
        parts = [
            arg if inner.op == "literal" else self._helper(_guard(inner), arg)
            for inner, arg in zip(each.args, args)
        ]
        return self._helper("concat", *parts)

    def _arithmetic(self, op: str, args: list[ast.expr]) -> ast.expr:
        if op == "neg":
            return self._helper("negative", self._helper("decimal", *args) if self._is_aws else args[0])
        names = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "mod": "remainder"}
        if not self._is_aws:
            return self._helper(names[op], *args)
        if op in {"add", "div"}:
            return self._helper(f"aws_{names[op]}", *args)
        return self._called(functions.aws_arithmetic(getattr(functions, names[op])), *args)


def _guard(expr: Expr) -> str:
    """What makes a value safe in a topic; the whole topic of a message may have further levels."""
    return "safe_topic" if expr.op == "call" and expr.value == "topic" else "safe"


def _is_constant(expr: Expr) -> bool:
    return (
        expr.op == "literal"
        and isinstance(expr.value, int | float | str)
        and expr.value.__class__ is not bool
    )
