"""Vectors of numbers in loops that numba compiles: what a processor does in one instruction, and reads so.

A vector is 64 bytes, 16 numbers of float32 or 8 of float64; processors with shorter ones take two or four.
Plain loops leave it to the compiler whether they become vectors, which it does not where arrays may overlap.

Example, inside compiled code: ``store(y, i, fma(load(x, i), splat(two), load(y, i)))`` adds twice x to y.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

BYTES = 64
I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def njit_as(name: str) -> Callable[[Any], Any]:
    """Compile an inner function under a name that no other has.

    What was kept on disk by several processes meets in one, by name: of two loops with the same name and the
    same types the first stands for both.
    """

    def compiled(function: Any) -> Any:
        function.__qualname__ = name
        return njit(function)

    return compiled


class Vector(types.Type):
    """Type of a vector of numbers.

    Args:
        number: Type of one of them.
    """

    def __init__(self, number: Any) -> None:
        self.number, self.lanes = number, BYTES * 8 // number.bitwidth
        super().__init__(name=f"Vector({number})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        number = manager.lookup(kind.number).get_value_type()
        super().__init__(manager, kind, ir.VectorType(number, kind.lanes))


def _operator(which: Callable[..., Any], instruction: str) -> None:
    @infer_global(which)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            both_vectors = len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]
            return signature(args[0], *args) if both_vectors else None

    @lower_builtin(which, Vector, Vector)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


@intrinsic
def pointer(typing: Any, address: Any, like: Any) -> Any:
    """The address of numbers of the type of ``like``, as what :func:`load` and :func:`store` take."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

    return types.CPointer(like)(types.int64, like), code


@intrinsic
def one_of(typing: Any, numbers: Any, index: Any) -> Any:
    """The number of this index."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return numbers.dtype(numbers, types.int64), code


@intrinsic
def store_one(typing: Any, numbers: Any, index: Any, number: Any) -> Any:
    """Write the number of this index."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.none(numbers, types.int64, numbers.dtype), code


@intrinsic
def load(typing: Any, numbers: Any, index: Any) -> Any:
    """The vector that begins at a number of this index."""
    vector = Vector(numbers.dtype)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = _place(builder, args, context.get_value_type(vector))
        return builder.load(at, align=numbers.dtype.bitwidth // 8)

    return vector(numbers, types.int64), code


@intrinsic
def load_truths(typing: Any, truths: Any, index: Any, like: Any) -> Any:
    """Bytes of 0 and 1 as numbers of the type of ``like``."""
    vector = Vector(like)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.get_value_type(vector)
        at = _place(builder, args, ir.VectorType(I8, kind.count))
        return builder.uitofp(builder.load(at, align=1), kind)

    return vector(truths, types.int64, like), code


@intrinsic
def store(typing: Any, numbers: Any, index: Any, vector: Any) -> Any:
    """Write a vector from a number of this index on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _place(builder, args, args[2].type), align=numbers.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(numbers, types.int64, vector), code


@intrinsic
def transpose(typing: Any, x: Any, i: Any, rows: Any, y: Any, o: Any, columns: Any) -> Any:
    """A square of numbers, a vector a row: from x, where rows are so far apart, to y, columns first.

    In each of log2 steps squares of half the size change places across the diagonal.
    """
    vector = Vector(x.dtype)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind, lanes = context.get_value_type(vector), vector.lanes
        at = [builder.add(args[1], builder.mul(args[2], ir.Constant(I64, row))) for row in range(lanes)]
        values = [
            builder.load(_place(builder, (args[0], one), kind), align=x.dtype.bitwidth // 8) for one in at
        ]
        half = lanes // 2
        while half:
            for row in (row for row in range(lanes) if not row & half):
                a, b = values[row], values[row + half]
                low = [lane if not lane & half else lanes + lane - half for lane in range(lanes)]
                high = [lane + half if not lane & half else lanes + lane for lane in range(lanes)]
                values[row], values[row + half] = (
                    builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, lanes), mask))
                    for mask in (low, high)
                )
            half //= 2
        for row, value in enumerate(values):
            to = builder.add(args[4], builder.mul(args[5], ir.Constant(I64, row)))
            builder.store(value, _place(builder, (args[3], to), kind), align=x.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(x, types.int64, types.int64, y, types.int64, types.int64), code


@intrinsic
def store_truths(typing: Any, truths: Any, index: Any, vector: Any) -> Any:
    """Write a byte of a lane: 1 where its number is not 0, else 0."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[2].type
        is_any = builder.fcmp_unordered("!=", args[2], ir.Constant(kind, None))
        bytes_ = ir.VectorType(I8, kind.count)
        builder.store(builder.zext(is_any, bytes_), _place(builder, args, bytes_), align=1)
        return context.get_dummy_value()

    return types.none(truths, types.int64, vector), code


@intrinsic
def stream(typing: Any, numbers: Any, index: Any, vector: Any) -> Any:
    """As :func:`store`, past the cache, for numbers that are read much later; their address divides by 64."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        written = builder.store(args[2], _place(builder, args, args[2].type), align=BYTES)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
        return context.get_dummy_value()

    return types.none(numbers, types.int64, vector), code


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """A number in every lane."""
    vector = Vector(number)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.get_value_type(vector)
        nothing = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(nothing, args[0], ir.Constant(I32, 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, kind.count), None))

    return vector(number), code


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c`` of vectors, rounded once."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.fma.v{kind.count}f{a.number.bitwidth}"
        wanted = ir.FunctionType(kind, [kind] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, wanted, name), args)

    return a(a, a, a), code


@intrinsic
def where_at_least(typing: Any, a: Any, b: Any, then: Any, other: Any) -> Any:
    """Of each lane ``then`` where a is at least b, else ``other``."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">=", args[0], args[1]), args[2], args[3])

    return a(a, a, a, a), code


@intrinsic
def times_power_of_two(typing: Any, a: Any, number: Any) -> Any:
    """``a 2^n``, where the last bits of ``number`` hold n: 1.5 times ``2^bits`` plus n, say."""
    bits = {32: 23, 64: 52}[a.number.bitwidth]  # of the mantissa, below those of the exponent

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = ir.VectorType(ir.IntType(a.number.bitwidth), args[0].type.count)
        power = builder.shl(builder.bitcast(args[1], whole), ir.Constant(whole, [bits] * whole.count))
        return builder.bitcast(builder.add(builder.bitcast(args[0], whole), power), args[0].type)

    return a(a, a), code


@intrinsic
def are_equal(typing: Any, a: Any, b: Any) -> Any:
    """Whether all lanes are."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        same = builder.fcmp_ordered("==", args[0], args[1])
        number = ir.IntType(args[0].type.count)
        return builder.icmp_signed("==", builder.bitcast(same, number), ir.Constant(number, -1))

    return types.boolean(a, a), code


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum over the lanes, in any order."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.vector.reduce.fadd.v{kind.count}f{a.number.bitwidth}"
        wanted = ir.FunctionType(kind.element, [kind.element, kind])
        summed = cgutils.get_or_insert_function(builder.module, wanted, name)
        return builder.call(summed, [ir.Constant(kind.element, -0.0), args[0]], fastmath=("reassoc",))

    return a.number(a), code


@intrinsic
def next_of(typing: Any, counters: Any, index: Any) -> Any:
    """The next number of a counter, one of those at an address, which all threads raise by one."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.gep(builder.bitcast(args[0], I64.as_pointer()), [args[1]])
        return builder.atomic_rmw("add", place, ir.Constant(I64, 1), "monotonic")

    return types.int64(types.voidptr, types.int64), code


def _place(builder: Any, args: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(args[0], [args[1]]), kind.as_pointer())
