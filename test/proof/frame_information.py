# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""What call frame information (.eh_frame) says of the caller, evaluated on symbols."""

import dataclasses
import functools

import z3
from elftools.dwarf.constants import DW_CFA

from engine import EngineError


@dataclasses.dataclass
class Row:
    """The rules at one instruction: the CFA (register and offset, or an expression), and for each column a rule."""

    cfa: tuple = ("register", None, 0)
    rules: dict = dataclasses.field(default_factory=dict)
    signed: bool = False  # the return address carries a signature

    def copy(self):
        return Row(self.cfa, dict(self.rules), self.signed)


@functools.cache
def row_at(function, address):
    common = function.cie
    row = Row()
    interpret(row, common.instructions, common, 0, 1 << 64, Row())
    initial = row.copy()
    interpret(row, function.instructions, common, function.header["initial_location"], address, initial)
    return row


def interpret(row, instructions, common, place, address, initial):
    data, code, remembered = common.header["data_alignment_factor"], common.header["code_alignment_factor"], []
    for instruction in instructions:
        arguments = instruction.args
        match instruction.opcode:
            case DW_CFA.advance_loc | DW_CFA.advance_loc1 | DW_CFA.advance_loc2 | DW_CFA.advance_loc4:
                place += arguments[0] * code
                if place > address:
                    return
            case DW_CFA.nop | DW_CFA.GNU_args_size:
                pass
            case DW_CFA.offset | DW_CFA.offset_extended | DW_CFA.offset_extended_sf:
                row.rules[arguments[0]] = "offset", arguments[1] * data
            case DW_CFA.restore | DW_CFA.restore_extended:
                row.rules.pop(arguments[0], None)
                if arguments[0] in initial.rules:
                    row.rules[arguments[0]] = initial.rules[arguments[0]]
            case DW_CFA.undefined:
                row.rules[arguments[0]] = ("undefined",)
            case DW_CFA.same_value:
                row.rules[arguments[0]] = ("same",)
            case DW_CFA.register:
                row.rules[arguments[0]] = "register", arguments[1]
            case DW_CFA.expression:
                row.rules[arguments[0]] = "expression", bytes(arguments[1])
            case DW_CFA.val_expression:
                row.rules[arguments[0]] = "value", bytes(arguments[1])
            case DW_CFA.def_cfa:
                row.cfa = "register", arguments[0], arguments[1]
            case DW_CFA.def_cfa_register:
                row.cfa = "register", arguments[0], row.cfa[2]
            case DW_CFA.def_cfa_offset:
                row.cfa = "register", row.cfa[1], arguments[0]
            case DW_CFA.def_cfa_expression:
                row.cfa = "expression", bytes(arguments[0])
            case DW_CFA.remember_state:
                remembered.append(row.copy())
            case DW_CFA.restore_state:
                old = remembered.pop()
                row.cfa, row.rules, row.signed = old.cfa, old.rules, old.signed
            case DW_CFA.AARCH64_negate_ra_state:
                row.signed = not row.signed
            case _:
                raise EngineError(f"call frame information has {instruction.opcode}, which is not modelled")


@dataclasses.dataclass
class Caller:
    sp: z3.BitVecRef
    pc: z3.BitVecRef | None  # None: undefined, the stack ends here
    registers: dict


def leb128(code, at, signed):
    value = shift = 0
    while True:
        byte = code[at]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return (value - (1 << shift) if signed and byte & 64 else value), at


class Unwinder:
    def __init__(self, engine, state):
        self.engine, self.state = engine, state
        self.architecture = state.architecture

    def register(self, column):
        name = self.architecture.dwarf.get(column)
        if not name:
            raise EngineError(f"call frame information names register {column}")
        return self.state.get(name)

    def memory(self, address, size):
        region, offset = self.engine.resolve(self.state, address)
        return region.content.load(offset, size)

    def expression(self, code):
        """Of DWARF's operations those that are used: breg and deref."""
        stack, at = [], 0
        while at < len(code):
            operation, at = code[at], at + 1
            if 0x70 <= operation <= 0x8F:
                offset, at = leb128(code, at, True)
                stack.append(self.register(operation - 0x70) + offset)
            elif operation == 0x06:
                stack.append(self.memory(stack.pop(), 8))
            else:
                raise EngineError(f"call frame information has the operation {operation:#x}, which is not modelled")
        return z3.simplify(stack[-1])

    def caller(self, columns):
        """The caller, with the registers in these columns."""
        function = self.engine.image.function_at(self.state.pc)
        if not function:
            raise EngineError("no call frame information")
        row = row_at(function, self.state.pc)
        cfa = (
            self.expression(row.cfa[1])
            if row.cfa[0] == "expression"
            else z3.simplify(self.register(row.cfa[1]) + row.cfa[2])
        )

        @functools.cache
        def place():
            return self.engine.resolve(self.state, cfa)

        def value(column):
            rule = row.rules.get(column, ("same",))
            match rule[0]:
                case "undefined":
                    return None
                case "same":
                    return self.register(column)
                case "register":
                    return self.register(rule[1])
                case "expression":
                    return self.memory(self.expression(rule[1]), self.size(column))
                case "value":
                    return self.expression(rule[1])
                case "offset":
                    region, offset = place()
                    return region.content.load(offset + rule[1], self.size(column))

        pc = value(function.cie.header["return_address_register"])
        if row.signed and pc is not None:
            pc = self.engine.authenticate(self.state, pc, cfa)
        return Caller(cfa, pc, {column: value(column) for column in columns})

    def size(self, column):
        return (
            self.architecture.place_of(self.architecture.dwarf[column])[1] if column in self.architecture.dwarf else 8
        )
