# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Executes machine code on symbols. What an instruction does is what VEX, the intermediate language of Valgrind, says
of it; values are terms of Z3, so that a claim about the end of a path is decided for all values at once.

Memory is a few stacks and blocks, each a symbolic address with a content of its own: no address is ever given a value.
An address must be such a base and a constant; and it must lie where the theorem lets this code read or write.

A signal may come at every instruction and overwrite everything below sp. So after every instruction what lies below sp
is unknown; whoever needs it later cannot prove anything about what he reads."""

import dataclasses

import pyvex
import z3

from architecture import MXCSR, X87_CW

MILLISECONDS = 20000  # for one question to the solver; then it is an error
STEPS = 400  # instructions on one path; then it is an error


class EngineError(Exception):
    """The code cannot be followed; the message names the place."""


def word(value, size=64):
    return z3.BitVecVal(value, size)


def number(term):
    term = z3.simplify(term)
    return term.as_long() if z3.is_bv_value(term) else None


def text_of(term):
    return " ".join(str(z3.simplify(term)).split())


# Pointer authentication: nothing is known of it but aut(sign(p, m), m) = p, see Engine.authenticate, and signature().
SIGN = z3.Function("sign", z3.BitVecSort(64), z3.BitVecSort(64), z3.BitVecSort(64))
AUT = z3.Function("aut", z3.BitVecSort(64), z3.BitVecSort(64), z3.BitVecSort(64))


def signature(state, pointer, modifier):
    """The signed pointer. A signature lies in the highest bits; the lowest, weft's tag bits among them, are the
    pointer's."""
    state.signed.append((pointer, modifier))
    state.assumptions.append(z3.Extract(3, 0, SIGN(pointer, modifier)) == z3.Extract(3, 0, pointer))
    return SIGN(pointer, modifier)


class Bytes:
    """Bytes at offsets, each one a byte of some value. What nobody wrote is an unknown word, the same at each
    reading."""

    def __init__(self, name):
        self.name = name
        self.content = {}
        self.destroyed = None  # below this offset everything is unknown, anew
        self.generation = 0

    def copy(self):
        other = Bytes(self.name)
        other.content = dict(self.content)
        other.destroyed, other.generation = self.destroyed, self.generation
        return other

    def store(self, offset, value):
        for i in range(value.size() // 8):
            self.content[offset + i] = value, i

    def destroy_below(self, offset):
        self.content = {o: v for o, v in self.content.items() if o >= offset}
        self.destroyed = offset if self.destroyed is None else max(self.destroyed, offset)
        self.generation += 1

    def unknown(self, offset):
        first = offset & ~7
        for i in range(first, first + 8):
            if i not in self.content:
                lost = self.destroyed is not None and i < self.destroyed
                name = f"{self.name}[{first:+#x}]" + (f" overwritten by signal {self.generation}" if lost else "")
                self.content[i] = z3.BitVec(name, 64), i - first

    def load(self, offset, size):
        for i in range(size):
            if offset + i not in self.content:
                self.unknown(offset + i)
        pieces = [self.content[offset + i] for i in range(size)]
        value, first = pieces[0]
        if all(v is value and at == first + i for i, (v, at) in enumerate(pieces)):
            if size * 8 == value.size():
                return value
            return z3.simplify(z3.Extract((first + size) * 8 - 1, first * 8, value))
        return z3.simplify(z3.Concat(*[z3.Extract(at * 8 + 7, at * 8, v) for v, at in reversed(pieces)]))


@dataclasses.dataclass
class Region:
    """A part of memory: its base and the offsets that this code may read, and may write."""

    name: str
    base: z3.BitVecRef
    readable: tuple
    writable: tuple
    content: Bytes
    is_stack: bool = True
    alignment: int = 0  # of the base: base % 16

    def copy(self):
        return dataclasses.replace(self, content=self.content.copy())


@dataclasses.dataclass
class Exit:
    """How a path ended: ret, branch, call or trap; where to; through which register, or with which prefix."""

    kind: str
    target: z3.BitVecRef
    through: str
    place: str
    pc: int


class State:
    def __init__(self, architecture, name):
        self.architecture = architecture
        self.name = name
        self.registers = Bytes(name)
        for register, (offset, size) in architecture.registers.items():
            self.registers.store(offset, z3.BitVec(f"{name}.{register}", size * 8))
        self.regions = {}
        self.assumptions = []
        self.pc = 0
        self.steps = 0
        self.pad = ""  # the landing pad that the next instruction must be, after an indirect branch
        self.written = []  # (region, offset, size)
        self.touched = set()  # registers
        self.signed = []  # (pointer, modifier) of each signature
        self.exit = None

    def copy(self):
        other = State.__new__(State)
        other.__dict__ = dict(self.__dict__)
        other.registers = self.registers.copy()
        other.regions = {name: region.copy() for name, region in self.regions.items()}
        other.assumptions, other.written, other.signed = list(self.assumptions), list(self.written), list(self.signed)
        other.touched = set(self.touched)
        return other

    def get(self, register):
        return self.registers.load(*self.architecture.place_of(register))

    def put(self, register, value):
        self.registers.store(self.architecture.place_of(register)[0], value)

    @property
    def sp(self):
        return self.get(self.architecture.sp)


class Facts:
    """What was proven and what was not."""

    def __init__(self):
        self.proven = 0
        self.failures = []

    def fail(self, statement, place):
        if (statement, place) not in self.failures:
            self.failures.append((statement, place))

    def prove(self, state, claim, statement, place):
        """Whether the claim holds for all values on this path."""
        claim = z3.simplify(claim) if not isinstance(claim, bool) else z3.BoolVal(claim)
        if z3.is_true(claim):
            self.proven += 1
            return True
        solver = solver_for(state)
        solver.add(z3.Not(claim))
        answer = solver.check()
        if answer == z3.unsat:
            self.proven += 1
            return True
        self.fail(
            statement if answer == z3.sat else f"{statement}: the solver does not know ({solver.reason_unknown()})",
            place,
        )
        return False

    def equal(self, state, left, right, statement, place):
        if left.eq(right) or number(left - right) == 0:
            self.proven += 1
            return True
        return self.prove(state, left == right, statement, place)


def solver_for(state):
    solver = z3.SolverFor("QF_UFBV")
    solver.set("timeout", MILLISECONDS)
    solver.add(*state.assumptions)
    return solver


def possible(state, *claims):
    solver = solver_for(state)
    solver.add(*claims)
    answer = solver.check()
    if answer == z3.unknown:
        raise EngineError(f"the solver does not know whether a path exists: {solver.reason_unknown()}")
    return answer == z3.sat


class Engine:
    """Runs the code of an image. `each(state)` is asked before each instruction."""

    def __init__(self, image, facts, each=None, pads=False, signatures=True, red_zone=0):
        self.image = image
        self.architecture = image.architecture
        self.facts = facts
        self.each = each
        self.pads = pads  # the processor enforces landing pads
        self.signatures = signatures  # the processor signs; if not, these instructions do nothing
        self.red_zone = red_zone  # bytes below sp that signals leave alone; the switch asks for none, compiled code may

    def run(self, state, start):
        """All ends of all paths."""
        state.pc = start
        state.steps = 0
        if not possible(state):
            raise EngineError(f"{self.image.place(start)}: nothing is proven, the assumptions contradict each other")
        self.look_at_sp(state, [])
        work, ends = [state], []
        while work:
            state = work.pop()
            try:
                if state.steps > STEPS:
                    raise EngineError(f"no end after {STEPS} instructions")
                state.steps += 1
                if self.each:
                    self.each(state)
                for following in self.step(state):
                    (ends if following.exit else work).append(following)
            except (EngineError, pyvex.PyVEXError, z3.Z3Exception) as error:
                raise EngineError(f"{self.image.place(state.pc)}: cannot be followed: {error}") from error
        if not ends:
            raise EngineError(f"{self.image.place(start)}: no path has an end")
        return ends

    # -- one instruction ----------------------------------------------------------------------------------------------

    def step(self, state):
        place = self.image.place(state.pc)
        if not self.image.holds(state.pc):
            raise EngineError("no code")
        block, data = self.image.instruction(state.pc)
        special = (
            self.special(state, int.from_bytes(data[:4], "little"))
            if self.architecture.is_aarch64
            else self.check_pad(state, data[:4] == bytes.fromhex("f30f1efa"), False)
        )
        if special:
            state.pc += 4
            self.look_at_sp(state, [])
            return [state]
        if block.size == 0 or not block.statements and block.jumpkind != "Ijk_Boring":
            if self.trap(state, block, data, place):
                return [state]
            raise EngineError("VEX does not know this instruction")
        if block.jumpkind in ("Ijk_NoDecode", "Ijk_SigTRAP"):
            if self.trap(state, block, data, place):
                return [state]
            raise EngineError("VEX does not know this instruction")
        temporaries, stores, ends = {}, [], []
        for statement in block.statements:
            kind = statement.tag
            if kind in ("Ist_IMark", "Ist_AbiHint", "Ist_NoOp", "Ist_MBE"):
                continue
            if kind == "Ist_WrTmp":
                temporaries[statement.tmp] = self.value(state, statement.data, temporaries, block.tyenv)
            elif kind == "Ist_Put":
                self.put(state, statement.offset, self.value(state, statement.data, temporaries, block.tyenv))
            elif kind == "Ist_Store":
                address = self.value(state, statement.addr, temporaries, block.tyenv)
                self.store(state, address, self.value(state, statement.data, temporaries, block.tyenv), stores)
            elif kind == "Ist_Exit":
                guard = z3.simplify(self.value(state, statement.guard, temporaries, block.tyenv) == word(1, 1))
                if z3.is_false(guard):
                    continue
                if statement.jumpkind != "Ijk_Boring":
                    if possible(state, guard):
                        raise EngineError(f"may end by {statement.jumpkind}")
                    continue
                if possible(state, guard):
                    taken = state.copy()
                    taken.assumptions.append(guard)
                    taken.pc = statement.dst.value
                    self.look_at_sp(taken, stores)
                    ends.append(taken)
                if not possible(state, z3.Not(guard)):
                    return ends
                state.assumptions.append(z3.simplify(z3.Not(guard)))
            else:
                raise EngineError(f"VEX has a statement that is not modelled: {statement}")
        target = self.value(state, block.next, temporaries, block.tyenv)
        self.look_at_sp(state, stores)
        if block.jumpkind == "Ijk_Boring" and isinstance(block.next, pyvex.expr.Const):
            state.pc = block.next.con.value
        else:
            self.leave(state, block, data, target, place)
        return [*ends, state]

    def trap(self, state, block, data, place):
        is_trap = data[:4] == b"\0\0\x20\xd4" if self.architecture.is_aarch64 else data[:2] == b"\x0f\x0b"
        if is_trap:
            state.exit = Exit("trap", word(state.pc), "", place, state.pc)
        return is_trap

    def leave(self, state, block, data, target, place):
        kind = {"Ijk_Ret": "ret", "Ijk_Call": "call", "Ijk_Boring": "branch"}.get(block.jumpkind)
        if not kind:
            raise EngineError(f"ends by {block.jumpkind}")
        if self.architecture.is_aarch64:
            code = int.from_bytes(data[:4], "little")
            through = f"x{code >> 5 & 31}" if isinstance(block.next, pyvex.expr.RdTmp) else ""
            state.pad = {"branch": "branch through x16" if through in ("x16", "x17") else "branch", "call": "call"}.get(
                kind, ""
            )
        else:
            through = "notrack" if data[0] == 0x3E else ""
            state.pad = "" if kind == "ret" or through else kind
        address = number(target)
        if kind != "call" and address is not None and self.image.holds(address):
            state.pc = address
            return
        state.exit = Exit(kind, z3.simplify(target), through, place, state.pc)

    def check_pad(self, state, is_pad, handled=True):
        """After an indirect branch the first instruction must be a landing pad."""
        if self.pads and state.pad:
            place = self.image.place(state.pc)
            self.facts.prove(state, is_pad, f"a {state.pad} lands on a landing pad", place)
        state.pad = ""
        return handled and is_pad

    def special(self, state, code):
        """The hints that VEX takes for nops."""
        lands = {
            0xD503233F: ("call", "branch through x16"),
            0xD503245F: ("call", "branch through x16"),
            0xD503249F: ("branch", "branch through x16"),
            0xD50324DF: ("call", "branch", "branch through x16"),
        }
        self.check_pad(state, state.pad in lands.get(code, ()), False)
        if code & 0xFFFFF01F != 0xD503201F:
            return False
        get, put = state.get, state.put
        match code:
            case 0xD503233F:
                self.use(state, ["x30", "xsp"]), put("x30", self.sign(state, get("x30"), state.sp))  # paciasp
            case 0xD50323BF:
                self.use(state, ["x30", "xsp"]), put("x30", self.authenticate(state, get("x30"), state.sp))
            case 0xD503211F:
                self.use(state, ["x17", "x16"]), put("x17", self.sign(state, get("x17"), get("x16")))
            case 0xD503219F:
                self.use(state, ["x17", "x16"]), put("x17", self.authenticate(state, get("x17"), get("x16")))
            case 0xD503201F | 0xD503245F | 0xD503249F | 0xD50324DF:
                pass  # nop, bti
            case _:
                raise EngineError(f"the hint {code:#x} is not modelled")
        return True

    def use(self, state, registers):
        state.touched |= set(registers)

    def sign(self, state, pointer, modifier):
        return signature(state, pointer, modifier) if self.signatures else pointer

    def authenticate(self, state, pointer, modifier):
        """aut(pointer, modifier), with what is known of it: for a signature that was made with this modifier, the
        pointer that was signed."""
        if not self.signatures:
            return pointer
        for signed, by in state.signed:
            if z3.is_app(pointer) and pointer.decl().eq(SIGN) and pointer.arg(0).eq(signed) and pointer.arg(1).eq(by):
                distance = number(by - modifier)
                if distance == 0 or distance is None and not possible(state, by != modifier):
                    return signed
        return AUT(pointer, modifier)

    # -- registers and memory -----------------------------------------------------------------------------------------

    def put(self, state, offset, value):
        if offset == self.architecture.vex.ip_offset:
            return
        if self.touch(state, offset):
            state.registers.store(offset, value)

    def get(self, state, offset, size):
        if offset == self.architecture.vex.ip_offset:
            return word(state.pc)
        self.touch(state, offset)
        return state.registers.load(offset, size)

    def touch(self, state, offset):
        """Notes that a register is used; "" if it is none."""
        try:
            name = self.architecture.name_at(offset)
        except LookupError as error:
            raise EngineError(f"uses {error}, which is no register that is modelled") from error
        state.touched.add(name)
        return name

    def resolve(self, state, address):
        """(region, offset)"""
        for region in state.regions.values():
            distance = number(address - region.base)
            if distance is not None:
                return region, distance - (1 << 64) if distance >> 63 else distance
        raise EngineError(f"the address {text_of(address)} lies in no stack and no block")

    def load(self, state, address, size):
        constant = number(address)
        if constant is not None and any(a <= constant < a + len(d) for a, d in self.image.segments):
            return word(int.from_bytes(self.image.bytes_at(constant, size), "little"), size * 8)
        region, offset = self.resolve(state, address)
        first, last = region.readable
        if not first <= offset or offset + size > last:
            self.facts.fail(
                f"reads {size} bytes at {offset:+#x} of {region.name}, which are none of its business",
                self.image.place(state.pc),
            )
        return region.content.load(offset, size)

    def store(self, state, address, value, stores):
        region, offset = self.resolve(state, address)
        size = value.size() // 8
        first, last = region.writable
        if not first <= offset or offset + size > last:
            self.facts.fail(
                f"writes {size} bytes at {offset:+#x} of {region.name}, outside of what it may write",
                self.image.place(state.pc),
            )
        else:
            self.facts.proven += 1
        region.content.store(offset, value)
        state.written.append((region.name, offset, size))
        stores.append((region.name, offset))

    def look_at_sp(self, state, stores):
        """After each instruction: sp points into a stack, is aligned, and nothing was written below it."""
        try:
            region, offset = self.resolve(state, state.sp)
        except EngineError:
            raise EngineError(f"afterwards sp is {text_of(state.sp)}, in no stack") from None
        place = self.image.place(state.pc)
        if not region.is_stack:
            self.facts.fail(f"sp points into {region.name}", place)
        if self.architecture.is_aarch64 and (region.alignment + offset) % 16:
            self.facts.fail("sp is not aligned to 16 bytes", place)
        for name, at in stores:
            if name == region.name and at < offset - self.red_zone:
                self.facts.fail(f"writes below sp, at {at - offset:+#x}", place)
        self.facts.proven += 1
        region.content.destroy_below(offset - self.red_zone)

    # -- expressions --------------------------------------------------------------------------------------------------

    def value(self, state, expression, temporaries, types):
        kind = expression.tag
        if kind == "Iex_RdTmp":
            return temporaries[expression.tmp]
        if kind == "Iex_Const":
            if expression.con.tag == "Ico_V128" and expression.con.value != 0 or "F" in expression.con.tag:
                raise EngineError(f"VEX has a constant that is not modelled: {expression}")
            return word(expression.con.value, expression.con.size)
        if kind == "Iex_Get":
            size = expression.result_size(types) // 8
            return self.get(state, expression.offset, size)
        if kind == "Iex_Load":
            address = self.value(state, expression.addr, temporaries, types)
            return self.load(state, address, expression.result_size(types) // 8)
        if kind == "Iex_ITE":
            condition, yes, no = (
                self.value(state, e, temporaries, types)
                for e in (expression.cond, expression.iftrue, expression.iffalse)
            )
            return z3.simplify(z3.If(condition == word(1, 1), yes, no))
        if kind in ("Iex_Unop", "Iex_Binop", "Iex_Triop"):
            arguments = [self.value(state, e, temporaries, types) for e in expression.args]
            return z3.simplify(operation(expression.op, arguments))
        if kind == "Iex_CCall":
            arguments = [self.value(state, e, temporaries, types) for e in expression.args]
            return self.helper(state, expression.cee.name, arguments)
        raise EngineError(f"VEX has an expression that is not modelled: {expression}")

    def helper(self, state, name, arguments):
        """What VEX calls C functions for. Of the control words VEX keeps the rounding modes; here they are whole."""
        match name:
            case "amd64g_create_mxcsr":
                return z3.ZeroExt(32, state.registers.load(MXCSR, 4))
            case "amd64g_create_fpucw":
                return z3.ZeroExt(48, state.registers.load(X87_CW, 2))
            case "amd64g_check_ldmxcsr":
                state.registers.store(MXCSR, z3.simplify(z3.Extract(31, 0, arguments[0])))
                return word(0)  # no emulation warning, and no part of the word for VEX to keep
            case "amd64g_check_fldcw":
                state.registers.store(X87_CW, z3.simplify(z3.Extract(15, 0, arguments[0])))
                return word(0)
            case "amd64g_calculate_condition":
                return condition_of(*arguments)
        raise EngineError(f"VEX's helper {name} is not modelled")


def condition_of(condition, operation_number, left, right, _):
    """Of x86's conditions: (un)equal and (un)signed less, after a comparison or a logical instruction."""
    condition, thunk = number(condition), number(operation_number)
    if condition is None or thunk is None:
        raise EngineError("a condition that depends on unknown flags")
    size = 8 << ((thunk - 1) % 4)
    left, right = z3.Extract(size - 1, 0, left), z3.Extract(size - 1, 0, right)
    if 17 <= thunk <= 20:  # LOGIC: the result, no carry and no overflow
        right = word(0, size)
    elif not 5 <= thunk <= 8:  # SUB
        raise EngineError(f"flags of VEX's operation {thunk} are not modelled")
    holds = {
        2: z3.ULT(left, right),
        4: left == right,
        6: z3.ULE(left, right),
        8: left - right < 0,
        12: left < right,
        14: left <= right,
    }.get(condition & ~1)
    if holds is None:
        raise EngineError(f"the condition {condition} is not modelled")
    return z3.simplify(z3.If(z3.Not(holds) if condition & 1 else holds, word(1), word(0)))


BINARY = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "And": lambda a, b: a & b,
    "Or": lambda a, b: a | b,
    "Xor": lambda a, b: a ^ b,
    "Mul": lambda a, b: a * b,
    "DivU": z3.UDiv,
}
SHIFTS = {"Shl": lambda a, b: a << b, "Shr": z3.LShR, "Sar": lambda a, b: a >> b}
COMPARISONS = {"CmpEQ": lambda a, b: a == b, "CmpNE": lambda a, b: a != b, "CasCmpNE": lambda a, b: a != b}


def operation(name, arguments):
    name = name.removeprefix("Iop_")
    first = arguments[0]
    match name:
        case "64HLtoV128" | "64HLto128" | "32HLto64":
            return z3.Concat(arguments[0], arguments[1])
        case "V128to64" | "128to64" | "64to32" | "64to16" | "64to8" | "32to16" | "32to8" | "16to8" | "64to1" | "32to1":
            return z3.Extract(int(name.rsplit("to", 1)[1]) - 1, 0, first)
        case "V128HIto64" | "128HIto64" | "64HIto32":
            return z3.Extract(first.size() - 1, first.size() // 2, first)
        case "64UtoV128" | "32UtoV128":
            return z3.ZeroExt(128 - first.size(), first)
        case "ReinterpF64asI64" | "ReinterpI64asF64" | "ReinterpF32asI32" | "ReinterpI32asF32":
            return first
        case "SliceV128":
            first_byte = 8 * number(arguments[2])
            return z3.Extract(first_byte + 127, first_byte, z3.Concat(arguments[0], arguments[1]))
        case "MullU64":
            return z3.ZeroExt(64, arguments[0]) * z3.ZeroExt(64, arguments[1])
        case "NotV128":
            return ~first
        case "AndV128" | "OrV128" | "XorV128":
            return BINARY[name[:-4]](*arguments)
    for kind, extend in (("Uto", z3.ZeroExt), ("Sto", z3.SignExt)):
        source, found, target = name.partition(kind)
        if found and source.isdigit() and target.isdigit():
            return extend(int(target) - int(source), first)
    kind, size = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
    if size in ("8", "16", "32", "64"):
        if kind == "Not":
            return ~first
        if kind in BINARY:
            return BINARY[kind](*arguments)
        if kind in SHIFTS:
            return SHIFTS[kind](first, z3.ZeroExt(first.size() - arguments[1].size(), arguments[1]))
        if kind in COMPARISONS:
            return z3.If(COMPARISONS[kind](*arguments), word(1, 1), word(0, 1))
    raise EngineError(f"VEX's operation {name} is not modelled")
