# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""The theorems of the out-of-line switch. Each is about all values of all registers and of all memory.

Contexts have names. A leaves by jump or ontop, or is made. Then B arrives there by jump or ontop, on registers of its
own: what A had must be there again. That is said without a word of what a frame looks like, so it holds for any
implementation of the same contract, Boost's too."""

import dataclasses

import z3

from engine import SIGN, Bytes, Engine, EngineError, Region, State, number, signature, word
from frame_information import Unwinder
from image import OUTSIDE

FAR = 1 << 20


@dataclasses.dataclass(frozen=True)
class Implementation:
    """The names of one implementation's functions, and what it promises."""

    make: str
    jump: str
    ontop: str
    frame: int
    fiber_entry: str = ""
    fiber_start: str = ""
    context_entry: str = ""
    describes_frames: bool = True  # has call frame information
    pads: bool = False  # may run where landing pads are enforced
    signs: bool = False  # signs what it leaves in memory
    shadow_call_stack: bool = False
    links: bool = False  # WEFT_LINK_BACKTRACES


class Context:
    """The registers that a flow of control has when it calls the switch."""

    def __init__(self, architecture, name):
        self.name = name
        state = State(architecture, name)
        self.sp = state.sp
        self.registers = {r: state.get(r) for r in (*architecture.registers, *architecture.kept)}
        self.return_address = (
            state.get(architecture.link) if architecture.link else z3.BitVec(f"{name}.return address", 64)
        )
        # where sp is once the call has returned: what unwinders call the CFA
        self.sp_afterwards = self.sp if architecture.link else self.sp + 8


@dataclasses.dataclass
class NewContext:
    """Nobody called what runs there: the stack ends in this trampoline."""

    trampoline: str
    top: z3.BitVecRef

    def is_inside(self, image, address):
        ours = image.function_at(image.address(self.trampoline))
        return address is not None and ours is not None and image.function_at(address) is ours


class Switch:
    def __init__(self, image, facts, implementation):
        self.image = image
        self.facts = facts
        self.names = implementation
        self.architecture = image.architecture
        self.kept = (*self.architecture.kept, *self.architecture.control_words)
        self.thread = self.architecture.thread
        if implementation.shadow_call_stack:  # x18 is a second stack pointer
            self.kept += ("x18",)
            self.thread = tuple(r for r in self.thread if r != "x18")
        self.columns = {c: r for c, r in self.architecture.dwarf.items() if r in self.architecture.kept}
        self.callers = {}  # region: the context whose stack it is

    # -- the state in which code begins -------------------------------------------------------------------------------

    def begin(self, name):
        """A state in which a flow of control calls a function, with its stack."""
        state = State(self.architecture, name)
        context = Context(self.architecture, name)
        state.regions[name] = self.stack(name, context)
        state.assumptions.append(context.sp & 15 == (0 if self.architecture.link else 8))
        state.pad = "call" if self.names.pads else ""
        self.callers = {name: context}
        return state, context

    def stack(self, name, context):
        frame, above = self.names.frame, 0 if self.architecture.link else 8
        region = Region(
            f"{name}'s stack",
            context.sp,
            (-frame, above),
            (-frame, 0),
            Bytes(f"{name}'s stack"),
            alignment=0 if self.architecture.link else 8,
        )
        if above:
            region.content.store(0, context.return_address)
        return region

    def engine(self, each=True):
        return Engine(
            self.image, self.facts, self.describe if each and self.names.describes_frames else None, self.names.pads
        )

    # -- what is looked at before each instruction --------------------------------------------------------------------

    def describe(self, state):
        """The call frame information gives the caller of the context on whose stack sp stands."""
        engine = Engine(self.image, self.facts)
        region = next(n for n, r in state.regions.items() if r is engine.resolve(state, state.sp)[0])
        context = self.callers[region]
        place = self.image.place(state.pc)
        caller = Unwinder(engine, state).caller(self.columns)
        self.described(state, caller, context, place)

    def described(self, state, caller, context, place):
        if isinstance(context, NewContext) and not context.is_inside(self.image, state.pc):  # still in the switch to it
            self.facts.equal(state, caller.sp, context.top, "an unwinder finds another sp", place)
            self.facts.prove(
                state,
                caller.pc is not None and context.is_inside(self.image, number(caller.pc)),
                "an unwinder finds another pc than the trampoline's",
                place,
            )
            frame_pointer = next(c for c, r in self.columns.items() if r == self.architecture.frame_pointer)
            self.facts.prove(state, caller.registers[frame_pointer] == 0, "an unwinder finds a frame pointer", place)
            return
        if isinstance(context, NewContext):
            self.facts.prove(state, caller.pc is None, "an unwinder goes on, but nobody called this", place)
            return
        if caller.pc is None:
            self.facts.fail("an unwinder finds no caller", place)
            return
        self.facts.equal(state, caller.sp, context.sp_afterwards, "an unwinder finds another sp", place)
        self.facts.equal(state, caller.pc, context.return_address, "an unwinder finds another pc", place)
        for column, register in self.columns.items():
            if caller.registers[column] is None:
                self.facts.fail(f"an unwinder finds no {register}", place)
            else:
                self.facts.equal(
                    state,
                    caller.registers[column],
                    context.registers[register],
                    f"an unwinder finds another {register}",
                    place,
                )

    # -- claims about the end of a path -------------------------------------------------------------------------------

    def equal(self, state, register, value, what, place):
        self.facts.equal(state, state.get(register), value, f"{register} is not {what}", place)

    def has_kept(self, state, context, place, who):
        for register in self.kept:
            self.equal(state, register, context.registers[register], f"what {who} had", place)

    def leaves_the_thread_alone(self, state, context, place):
        for register in self.thread:
            self.equal(state, register, context.registers[register], "what it was", place)
            self.facts.prove(state, register not in state.touched, f"{register} is read or written", place)

    def has_written(self, state, allowed, place):
        """`allowed`: {region: (first, last)}"""
        for name, offset, size in state.written:
            first, last = next((a for n, a in allowed.items() if state.regions[n].name == name), (0, 0))
            self.facts.prove(
                state,
                first <= offset and offset + size <= last,
                f"writes {size} bytes at {offset:+#x} of {name}, outside of the frame",
                place,
            )

    def goes_to(self, state, target, what, place, is_function):
        end = state.exit
        if not self.facts.prove(state, end.kind in ("ret", "branch"), f"ends by a {end.kind}", place):
            return
        self.facts.equal(state, end.target, target, f"goes to another address than {what}", place)
        if not self.names.pads or end.kind == "ret":
            return
        if not self.architecture.is_aarch64:
            self.facts.prove(
                state, is_function or end.through == "notrack", f"goes to {what}, where no landing pad is", place
            )
        else:
            self.facts.prove(
                state,
                is_function and end.through in ("x16", "x17"),
                f"goes to {what} through {end.through}, which its landing pad does not allow",
                place,
            )

    def keeps_addresses_signed(self, state, secrets, place):
        """No word in memory that this code wrote depends on a code address but through its signature."""
        if not self.names.signs:
            return
        for region in state.regions.values():
            for value in {id(v): v for v, _ in region.content.content.values()}.values():
                inside = number(value)
                self.facts.prove(
                    state,
                    not any(mentions(value, s) for s in secrets)
                    and not (inside is not None and self.image.holds(inside)),
                    f"leaves a code address in {region.name} that is not signed",
                    place,
                )

    # -- leave and arrive ---------------------------------------------------------------------------------------------

    def leave(self, function):
        """A calls the function, which goes elsewhere. All ends, as (state, A, the context left at rest)."""
        state, context = self.begin("A")
        to = state.get(self.architecture.arguments[0])
        state.regions["elsewhere"] = Region("the arriving context", to, (0, FAR), (0, 0), Bytes("elsewhere"))
        if self.architecture.is_aarch64:
            state.assumptions.append(to & 15 == 0)
        result = []
        for end in self.engine(False).run(state, self.image.address(function)):
            where = self.architecture.results[0] if function == self.names.jump else self.architecture.arguments[0]
            rest = context.sp - self.names.frame
            self.facts.equal(
                end, end.get(where), rest, "the context that is passed on is not the frame", end.exit.place
            )
            self.has_written(end, {"A": (-self.names.frame, 0)}, end.exit.place)
            self.keeps_addresses_signed(end, [context.return_address], end.exit.place)
            result.append((end, context, rest))
        return result

    def arrive(self, function, left):
        """B calls the function with the context that was left. All ends, as (state, B)."""
        old, other, rest = left
        state, context = self.begin("B")
        state.assumptions += old.assumptions
        state.signed += old.signed
        region = old.regions[other.name].copy()
        region.content.destroy_below(-self.names.frame)
        region.writable = (0, 0)
        state.regions[other.name] = region
        self.callers[other.name] = other
        state.put(self.architecture.arguments[0], rest)
        return [(end, context) for end in self.engine().run(state, self.image.address(function))]

    def round_trip(self, leaver, arriver):
        """A leaves by one, B comes back to it by the other."""
        names = self.names
        for left in self.leave(leaver):
            other = left[1]
            for end, context in self.arrive(arriver, left):
                place = end.exit.place
                self.has_kept(end, other, place, "the arriving context")
                self.leaves_the_thread_alone(end, context, place)
                self.has_written(end, {context.name: (-names.frame, 0)}, place)
                data = self.architecture.arguments[1]
                come_from = context.sp - names.frame
                if arriver == names.jump:
                    self.goes_to(end, other.return_address, "the arriving context's return address", place, False)
                    self.facts.equal(end, end.sp, other.sp_afterwards, "sp is not what it was before the call", place)
                    at = self.architecture.results
                else:
                    call = context.registers[self.architecture.arguments[2]]
                    self.goes_to(end, call, "the function", place, True)
                    self.facts.equal(end, end.sp, other.sp, "sp is not what the arriving context's call had", place)
                    self.returns_to(end, other.return_address, place)
                    at = self.architecture.arguments
                self.equal(end, at[0], come_from, "the context that left", place)
                self.equal(end, at[1], context.registers[data], "the data", place)
                self.keeps_addresses_signed(end, [context.return_address, other.return_address], place)

    def return_address_of(self, state):
        """Where a function returns to that begins in this state."""
        if self.architecture.link:
            return state.get(self.architecture.link)
        region, offset = Engine(self.image, self.facts).resolve(state, state.sp)
        return region.content.load(offset, 8)

    def returns_to(self, state, address, place):
        self.facts.equal(
            state, self.return_address_of(state), address, "the function will not return where it should", place
        )

    # -- new contexts -------------------------------------------------------------------------------------------------

    def top_of(self, context):
        """Where the stack of a new context begins: at the 16-byte aligned top of its memory; with a shadow call stack
        below that one's third."""
        top, size = (context.registers[r] for r in self.architecture.arguments[:2])
        if self.names.shadow_call_stack:
            top = top - z3.UDiv(size, word(3)) - 16
        return z3.simplify(top & word(~15 % (1 << 64)))

    def made(self, claims=True):
        """C makes a context. All ends, as (state, C, the context, its entry)."""
        names = self.names
        state, context = self.begin("C")
        top = self.top_of(context)
        frame = names.frame + (0 if self.architecture.link else 8)
        state.regions["new"] = Region("the new stack", top, (0, 0), (-frame, 0), Bytes("the new stack"), is_stack=False)
        entry = context.registers[self.architecture.arguments[2]]
        result = []
        for end in self.engine(claims).run(state, self.image.address(names.make)):
            place = end.exit.place
            if claims:
                self.goes_to(end, context.return_address, "its return address", place, False)
                self.has_kept(end, context, place, "the caller")
                self.leaves_the_thread_alone(end, context, place)
                self.facts.equal(end, end.sp, context.sp_afterwards, "sp is not what it was before the call", place)
                self.equal(end, self.architecture.results[0], top - frame, "the context at the top of the stack", place)
                self.has_written(end, {"new": (-frame, 0)}, place)
                self.keeps_addresses_signed(end, [entry], place)
            result.append((end, context, z3.simplify(top - frame), entry))
        return result

    def first_entry(self, arriver, claims=True):
        """C makes a context, B goes there by the arriver: the entry is called. All ends, as (state, B)."""
        names, result = self.names, []
        for end, creator, made, entry in self.made(claims):
            state, context = self.begin("B")
            state.assumptions += end.assumptions
            state.signed += end.signed
            region = end.regions["new"].copy()
            region.is_stack = True
            region.readable = region.writable = (region.writable[0], 0)
            state.regions["new"] = region
            region.content.destroy_below(region.writable[0])
            self.callers["new"] = NewContext(names.context_entry, region.base)
            state.put(self.architecture.arguments[0], made)
            top = region.base
            for arrived in self.engine(claims).run(state, self.image.address(arriver)):
                if arriver == names.ontop and not arrived.exit.target.eq(entry):
                    result += self.after_the_call(arrived, context, top, entry, creator, claims)
                else:
                    result.append((arrived, context))
                    if claims:
                        come_from = context.sp - names.frame
                        data = context.registers[self.architecture.arguments[1]]
                        self.entered(arrived, (come_from, data), context, top, entry, creator)
        return result

    def after_the_call(self, state, context, top, entry, creator, claims):
        """ontop to a new context: the function is called first, and what it returns is what the entry gets."""
        place = state.exit.place
        if claims:
            self.goes_to(state, context.registers[self.architecture.arguments[2]], "the function", place, True)
            self.equal(
                state, self.architecture.arguments[0], context.sp - self.names.frame, "the context that left", place
            )
            self.equal(
                state,
                self.architecture.arguments[1],
                context.registers[self.architecture.arguments[1]],
                "the data",
                place,
            )
            self.facts.equal(
                state,
                state.sp,
                top - (0 if self.architecture.link else 8),
                "sp is not at the top of the new stack",
                place,
            )
        back = number(self.return_address_of(state))
        if back is None or not self.image.holds(back):
            raise EngineError(f"{place}: the function returns to {back}, not into a trampoline")
        after = self.call_returns(state, "the function")
        after.touched = set()
        result = []
        for end in self.engine(claims).run(after, back):
            result.append((end, context))
            if claims:
                self.entered(
                    end,
                    tuple(after.registers_at_return[r] for r in self.architecture.results),
                    None,
                    top,
                    entry,
                    creator,
                )
        return result

    def call_returns(self, state, name):
        """The state in which a function that was called comes back: only what every function keeps is kept."""
        after = State(self.architecture, name)
        after.__dict__.update({k: v for k, v in state.copy().__dict__.items() if k != "registers"})
        for register in (*self.kept, *(r for r in self.thread), self.architecture.sp):
            after.put(register, state.get(register))
        if not self.architecture.link:
            after.put(self.architecture.sp, state.sp + 8)
        after.registers_at_return = {r: after.get(r) for r in self.architecture.results}
        after.exit = None
        after.pad = ""
        return after

    def entered(self, state, transfer, context, top, entry, creator):
        """The entry of a new context begins."""
        place, frame_pointer = state.exit.place, self.architecture.frame_pointer
        self.goes_to(state, entry, "the entry", place, True)
        for register, value, what in zip(self.architecture.arguments, transfer, ("transfer.from", "transfer.data")):
            self.equal(state, register, value, what, place)
        self.facts.equal(
            state,
            state.sp,
            top - (0 if self.architecture.link else 8),
            "the entry's sp is not at the top of its stack",
            place,
        )
        self.equal(state, frame_pointer, word(0), "0, where a walk along frame pointers ends", place)
        for register in self.architecture.control_words:
            self.equal(state, register, creator.registers[register], "what the creator had", place)
        if self.names.shadow_call_stack:
            self.equal(state, "x18", top, "the beginning of the shadow call stack", place)
        if context:
            self.leaves_the_thread_alone(state, context, place)
        self.comes_back(state, self.names.context_entry, place, ("call", OUTSIDE["abort"]))

    def comes_back(self, state, function, place, expected):
        """Where a function returns to that nobody expects back: inside the trampoline, which stops the process."""
        back = number(self.return_address_of(state))
        ours = self.image.function_at(self.image.address(function)) if self.names.describes_frames else None
        if back is None or not self.image.holds(back):
            self.facts.fail("the function will not return into the trampoline", place)
            return
        for address in (back, back - 1):
            inside = self.image.function_at(address)
            self.facts.prove(
                state,
                inside is not None and inside is ours,
                f"the return address{'' if address == back else ' - 1'} is not in {function}",
                place,
            )
        after = self.call_returns(state, "the entry")
        for register in (*self.kept, *self.thread):  # it need not even have kept what every function keeps
            after.put(register, z3.BitVec(f"the entry.{register}", after.get(register).size()))
        for end in self.engine().run(after, back):
            kind, target = expected
            self.facts.prove(
                end,
                end.exit.kind == kind and (target is None or number(end.exit.target) == target),
                "the process is not stopped when the function returns",
                end.exit.place,
            )
            if kind != "call":
                continue
            self.facts.prove(
                end, end.sp & 15 == (0 if self.architecture.link else 8), "abort's sp is not aligned", end.exit.place
            )
            beyond = number(self.return_address_of(end))
            self.facts.prove(
                end,
                beyond is not None and self.image.function_at(beyond) is ours,
                f"the call's return address is not in {function}",
                end.exit.place,
            )

    def resting_new_context(self):
        """An unwinder looks up the address before the one where a context goes on: of a new one, too."""
        for end, _, _, _ in self.made(claims=False):
            resting = [
                number(v) if number(v) is not None else number(v.arg(0))
                for v, _ in end.regions["new"].content.content.values()
                if number(v) is not None or v.decl().eq(SIGN)
            ]
            inside = {address for address in resting if address and self.image.holds(address)}
            self.facts.prove(end, len(inside) == 1, "a new context has no place to go on", end.exit.place)
            for address in inside:
                place = self.image.place(address)
                ours = self.image.function_at(self.image.address(self.names.context_entry))
                found = self.image.function_at(address - 1)
                if self.facts.prove(
                    end,
                    found is not None and found is ours,
                    f"the address before it is not in {self.names.context_entry}",
                    place,
                ):
                    end.pc = address - 1
                    caller = Unwinder(Engine(self.image, self.facts), end).caller({})
                    self.facts.prove(end, caller.pc is None, "an unwinder goes on, but nobody called this", place)

    # -- the entry of a fiber -----------------------------------------------------------------------------------------

    def fiber_entry(self):
        """The inline switch comes to a fiber for the first time: x0 (rdi) is the block, x29 and x19 (rbp and rbx) are
        the function and its argument, sp is the top of the stack. Everything else may be anything."""
        architecture, names = self.architecture, self.names
        state = State(architecture, "B")
        block, top = state.get(architecture.arguments[0]), z3.BitVec("top", 64)
        function, argument = z3.BitVec("function", 64), state.get(architecture.base)
        signed = function
        if names.signs:
            signed = signature(state, function, top)
        state.put(architecture.frame_pointer, signed)
        state.put(architecture.sp, top)
        state.regions["new"] = Region(
            "the fiber's stack", top, (-8, 0), (0, 0) if architecture.link else (-8, 0), Bytes("the fiber's stack")
        )
        state.regions["block"] = Region("the block", block, (0, 0), (0, 0), Bytes("the block"), is_stack=False)
        state.assumptions.append(top & 15 == 0)
        state.pad = ("branch through x16" if architecture.is_aarch64 else "branch") if names.pads else ""
        before = {r: state.get(r) for r in architecture.registers}
        resumer = [state.regions["block"].content.load(8 * i, 8) for i in range(4)]
        if names.signs:
            state.regions["block"].content.store(16, signature(state, resumer[2], resumer[3]))
        self.callers = {"new": NewContext(names.fiber_entry, top)}
        linked = self.linked_caller(resumer) if names.links else None
        for end in Engine(self.image, self.facts, linked or self.describe, names.pads).run(
            state, self.image.address(names.fiber_start)
        ):
            place = end.exit.place
            self.goes_to(end, function, "the function", place, True)
            self.equal(end, architecture.arguments[0], argument, "its argument", place)
            self.facts.equal(
                end, end.sp, top - (0 if architecture.link else 8), "sp is not at the top of the stack", place
            )
            if names.links:
                self.equal(end, architecture.frame_pointer, block + 8, "the frame record in the block", place)
                self.equal(end, architecture.base, block, "the block", place)
            else:
                self.equal(end, architecture.frame_pointer, word(0), "0, where a walk along frame pointers ends", place)
            for register in (*self.thread, *architecture.control_words, *(["x18"] if names.shadow_call_stack else [])):
                self.equal(end, register, before[register], "what it was", place)
                self.facts.prove(end, register not in end.touched, f"{register} is read or written", place)
            if names.links:
                entry = self.image.function_at(self.image.address(names.fiber_entry))
                self.facts.prove(
                    end,
                    b"S" in entry.cie.header["augmentation"],
                    "an unwinder is not told that the caller was not left by a call",
                    place,
                )
            else:
                self.comes_back(end, names.fiber_entry, place, ("trap", None))
        start = self.image.address(names.fiber_start)
        self.facts.prove(
            state,
            self.image.function_at(start - 1)
            is self.image.function_at(self.image.address(names.fiber_entry))
            is not None,
            f"the address before {names.fiber_start} is not in " f"{names.fiber_entry}",
            self.image.place(start),
        )
        if architecture.is_aarch64:  # a fiber that has not begun has the same tag bits as one that waits
            self.facts.prove(
                state, start & 15 == 4, "does not lie 4 bytes beyond a multiple of 16", self.image.place(start)
            )

    def linked_caller(self, resumer):
        """WEFT_LINK_BACKTRACES: an unwinder goes on to the resumer once the block is in its register, and up to there
        finds the end of the stack."""
        base, frame, pc, sp = resumer
        arch = self.architecture
        columns = {c: r for c, r in arch.dwarf.items() if r in (arch.base, arch.frame_pointer)}
        stage = {"linked": False}

        def each(state):
            place = self.image.place(state.pc)
            caller = Unwinder(Engine(self.image, self.facts), state).caller(columns)
            last = (
                self.image.instruction(state.pc)[0].jumpkind == "Ijk_Boring"
                and self.image.instruction(state.pc)[0].next.tag == "Iex_RdTmp"
            )
            if caller.pc is None:
                self.facts.prove(state, not stage["linked"] and not last, "an unwinder finds no caller", place)
                return
            stage["linked"] = True
            self.facts.equal(state, caller.sp, sp, "an unwinder finds another sp than the resumer's", place)
            self.facts.equal(state, caller.pc, pc, "an unwinder finds another pc than the resumer's", place)
            for column, register in columns.items():
                self.facts.equal(
                    state,
                    caller.registers[column],
                    base if register == arch.base else frame,
                    f"an unwinder finds another {register} than the resumer's",
                    place,
                )

        return each

    # -- all ----------------------------------------------------------------------------------------------------------

    def prove(self):
        names = self.names
        promised = names.pads | names.signs << 1
        self.facts.prove(
            State(self.architecture, "A"),
            self.image.features == promised,
            f"the object promises the features {self.image.features:#x}, it should {promised:#x}",
            "its note",
        )
        for arriver in (names.jump, names.ontop):
            for leaver in (names.jump, names.ontop):
                self.round_trip(leaver, arriver)
            self.first_entry(arriver)
        self.resting_new_context()
        self.fiber_entry()


def mentions(term, symbol):
    """Whether the value depends on the symbol otherwise than by a signature."""
    seen, work = set(), [term]
    while work:
        term = work.pop()
        if term.get_id() in seen or z3.is_app(term) and term.decl().eq(SIGN):
            continue
        seen.add(term.get_id())
        if term.eq(symbol):
            return True
        work += term.children()
    return False


WEFT = Implementation(
    "weft_make_context",
    "weft_jump_context",
    "weft_ontop_context",
    0,
    "weft_fiber_entry",
    "weft_fiber_start",
    "weft_context_entry",
)
BOOST = Implementation("make_fcontext", "jump_fcontext", "ontop_fcontext", 0, describes_frames=False)
