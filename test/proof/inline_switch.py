# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""The theorems of the inline switch, at places where GCC and Clang put it (places.cpp).

R resumes, F suspends, R resumes again: what each function of these was called with must be there again when it
returns, and the word that F passes. Every register that is not the statement's comes back as the other side left it, so
a register that the statement neither keeps nor names as lost is found by what its function has lost."""

import dataclasses

import z3

from engine import SIGN, Bytes, Engine, Region, State, number, signature, word
from frame_information import Unwinder
from image import ImageError
from objects_proven import FLAGS, ROOT, SHADOW_CALL_STACK, TOOLS, Variant, folder_of, link
from switch import Context
from toolchain import ASSEMBLY, Toolchain, run

# The words of a block, as lib/switch/README.md has them; the last one is there with a shadow call stack.
RESUMER_BASE, RESUMER_FRAME, PC, SP, FIBER_BASE, FIBER_FRAME, SHADOW = range(0, 56, 8)
FRAME = 1024  # what a function of places.cpp may take of its stack
RED_ZONE = {"aarch64": 0, "x86_64": 128}
COMPILERS = ["gcc", "clang"]
RESUMING = ["resume", "resume_with_values"]
SUSPENDING = ["suspend", "suspend_passing", "suspend_with_values", "suspend_not_resumable", "try_suspend"]
INTEGERS, NUMBERS = 16, 12  # of `values` in places.cpp

PROTECTED = {"pads": True, "signs": True}
VARIANTS = [
    Variant("aarch64", "plain", ("-mbranch-protection=none",), {}),
    Variant("aarch64", "PAC and BTI", ("-mbranch-protection=standard",), PROTECTED),
    Variant("aarch64", "shadow call stack", tuple(SHADOW_CALL_STACK), {"shadow_call_stack": True}),
    Variant(
        "aarch64",
        "shadow call stack, PAC and BTI",
        (*SHADOW_CALL_STACK, "-mbranch-protection=standard"),
        {**PROTECTED, "shadow_call_stack": True},
    ),
    Variant("x86_64", "plain", ("-fcf-protection=none",), {}),
    Variant("x86_64", "IBT", ("-fcf-protection=branch",), {"pads": True}),
]


def build(variant, folder, headers=None):
    """GCC's and Clang's places, with the entry of a fiber, in one program; `headers`: a folder with changed copies."""
    folder = folder_of(variant, folder) / "places"
    clang = run(["bash", "-c", f'root="{ROOT}"; source "$root/test/lib/packages.sh"; find_clang']).strip()
    target = ["--target=aarch64-linux-gnu"] if variant.architecture == "aarch64" else []
    objects = []
    for name, compiler in (("clang", [clang, *target]), ("gcc", [TOOLS[variant.architecture] + "g++"])):
        toolchain = Toolchain(compiler, folder / name, [*FLAGS, *variant.flags])
        objects.append(
            toolchain.compile("test/proof/places.cpp", headers=headers, flags=[f"-DPLACE(name)={name}_##name"])
        )
    for source in (ASSEMBLY[variant.architecture], "lib/switch/control_block.cpp"):
        old = folder / "gcc" / (source.rsplit("/", 1)[1].replace(".", "_") + ".o")
        # what a changed header does not change is compiled once
        objects.append(old if headers and old.exists() else toolchain.compile(source))
    return link(variant.architecture, objects, folder / "program")


class InlineEngine(Engine):
    """Knows whether a switch has begun: with the first access to the block. It ends by its branch."""

    def load(self, state, address, size):
        value = super().load(state, address, size)
        state.inside |= self.resolve(state, address)[0].name == "the block" if number(address) is None else False
        return value

    def leave(self, state, *arguments):
        super().leave(state, *arguments)
        state.inside = False

    def step(self, state):
        """A conditional branch is the way out of try_switch_to_resumer."""
        out = (
            {
                s.dst.value
                for s in self.image.instruction(state.pc)[0].statements
                if s.tag == "Ist_Exit" and s.jumpkind == "Ijk_Boring"
            }
            if self.image.holds(state.pc)
            else ()
        )
        following = super().step(state)
        for after in following:
            after.inside &= after.pc not in out
        return following


@dataclasses.dataclass
class Flow:
    """A flow of control: what its function was called with."""

    name: str
    function: str
    context: Context
    values: z3.BitVecRef | None = None

    @property
    def is_fiber(self):
        return self.function.partition("_")[2] in SUSPENDING


class Places:
    def __init__(self, image, facts, variant):
        self.image, self.facts = image, facts
        self.architecture = image.architecture
        promises = {"pads": False, "signs": False, "shadow_call_stack": False, **variant.promises}
        self.pads, self.signs, self.shadow = (promises[n] for n in ("pads", "signs", "shadow_call_stack"))
        self.kept = (*self.architecture.kept, *(["x18"] if self.shadow else []))
        self.thread = tuple(r for r in (*self.architecture.thread, *self.architecture.control_words) if r != "x18")
        self.columns = {c: r for c, r in self.architecture.dwarf.items() if r in self.architecture.kept}
        # x86-64 stores the fiber's pc inverted; a tag bit says that the fiber is not to be resumed
        self.inverted = 0 if self.architecture.is_aarch64 else (1 << 64) - 1
        self.not_resumable = 8 if self.architecture.is_aarch64 else 1 << 63
        self.flow = self.arriving = None

    def engine(self, each=None):
        return InlineEngine(self.image, self.facts, each, self.pads, red_zone=RED_ZONE[self.architecture.name])

    # -- calls --------------------------------------------------------------------------------------------------------

    def call(self, name, function, old=None):
        """`name` calls the function with the block; `old` has what memory holds."""
        state = State(self.architecture, name)
        state.inside = False
        flow = Flow(name, function, Context(self.architecture, name))
        above = 0 if self.architecture.link else 8
        state.assumptions.append(flow.context.sp & 15 == above)
        if old:
            state.regions.update({n: r.copy() for n, r in old.regions.items()})
            state.assumptions += old.assumptions
            state.signed += old.signed
        stack = self.region(state, f"{name}'s stack", flow.context.sp, (-FRAME, above), (-FRAME, 0))
        stack.is_stack, stack.alignment = True, above
        if above:
            stack.content.store(0, flow.context.return_address)
        if self.shadow:  # a function may keep its return address there
            self.region(state, f"{name}'s shadow stack", state.get("x18"), (0, 8), (0, 8))
        first, second = self.architecture.arguments[:2]
        if function.endswith("_with_values"):
            flow.values = state.get(second)
            everything = (0, 8 * (INTEGERS + NUMBERS))
            self.region(state, f"{name}'s values", flow.values, everything, everything)
        if "the block" not in state.regions:
            size = 56 if self.shadow else 48
            self.region(state, "the block", state.get(first), (0, size), (0, size))
        state.put(first, state.regions["the block"].base)
        state.pad = "call" if self.pads else ""
        return state, flow

    @staticmethod
    def region(state, name, base, readable, writable):
        state.regions[name] = Region(name, base, readable, writable, Bytes(name), is_stack=False)
        return state.regions[name]

    def run(self, state, flow):
        """Runs the function of the flow through its switch, to the end of what goes on there."""
        block = state.regions["the block"].content
        frame, base = (RESUMER_FRAME, RESUMER_BASE) if flow.is_fiber else (FIBER_FRAME, FIBER_BASE)
        pc = z3.simplify(block.load(PC, 8) ^ (0 if flow.is_fiber else self.inverted))
        sp = block.load(SP, 8)
        self.flow = flow
        engine = self.engine(self.describe)
        self.arriving = {
            "sp": sp,
            "pc": engine.authenticate(state, pc, sp) if self.signs else pc,
            self.architecture.frame_pointer: block.load(frame, 8),
            self.architecture.base: block.load(base, 8),
        }
        if self.shadow:
            self.arriving["x18"] = block.load(SHADOW, 8)
        return engine.run(state, self.image.address(flow.function))

    def describe(self, state):
        """In the switch an unwinder finds the function that leaves, then the flow that arrives as its caller."""
        if not state.inside:
            return
        place, context = self.image.place(state.pc), self.flow.context
        caller = Unwinder(self.engine(), state).caller(self.columns)
        branches = self.image.instruction(state.pc)[0].next.tag == "Iex_RdTmp"
        if number(caller.sp - context.sp_afterwards) == 0 and not branches:
            self.unwound(state, caller, context, place)
            return
        for what, found in (
            ("sp", caller.sp),
            ("pc", caller.pc),
            *((r, caller.registers[c]) for c, r in self.columns.items() if r in self.arriving),
        ):
            if found is None:
                self.facts.fail(f"an unwinder finds no {what}", place)
            else:
                self.facts.equal(
                    state, found, self.arriving[what], f"an unwinder finds another {what} than the arriving one", place
                )

    def unwound(self, state, caller, context, place):
        for what, found, right in (
            ("sp", caller.sp, context.sp_afterwards),
            ("pc", caller.pc, context.return_address),
            *((r, caller.registers[c], context.registers[r]) for c, r in self.columns.items()),
        ):
            if found is None:
                self.facts.fail(f"an unwinder finds no {what}", place)
            else:
                self.facts.equal(state, found, right, f"an unwinder finds another {what}", place)

    # -- claims -------------------------------------------------------------------------------------------------------

    def left(self, state, flow):
        """The flow waits in the block: where, and with what of its stack."""
        block, place = state.regions["the block"].content, state.exit.place
        stored = block.load(PC, 8)
        if flow.function.endswith("_not_resumable"):  # as let_resume() does it
            stored = z3.simplify(stored ^ self.not_resumable)
        label = number(stored ^ (self.inverted if flow.is_fiber else 0))
        if self.signs:
            label = number(state.signed[-1][0])
            expected = SIGN(*state.signed[-1])
            self.facts.equal(state, stored, expected, "the pc in the block is not signed", place)
            stored = expected
        ours = self.image.function_at(self.image.address(flow.function))
        if label is None or not self.image.holds(label):
            self.facts.fail("the pc in the block is no place in the code", place)
            return
        block.store(PC, stored)
        at = self.image.place(label)
        self.facts.prove(state, self.image.function_at(label) is ours, f"is not in {flow.function}", at)
        remainder = 4 if flow.is_fiber else 8
        if self.architecture.is_aarch64:
            self.facts.prove(state, label & 15 == remainder, f"is not {remainder} bytes beyond a multiple of 16", at)
        if self.signs:
            self.facts.equal(state, state.signed[-1][1], block.load(SP, 8), "the pc is signed with another sp", at)
        region, offset = self.engine().resolve(state, block.load(SP, 8))
        if not self.facts.prove(
            state, region.name == f"{flow.name}'s stack", "the sp in the block is another one's", at
        ):
            return
        region.content.destroy_below(offset - RED_ZONE[self.architecture.name])
        self.suspended(state, flow, label)

    def suspended(self, state, flow, label):
        """Unwinders look up the address before the one where a suspended function goes on: it gives its caller."""
        block = state.regions["the block"].content
        frame, base = (FIBER_FRAME, FIBER_BASE) if flow.is_fiber else (RESUMER_FRAME, RESUMER_BASE)
        resting = State(self.architecture, "nobody")
        resting.regions, resting.assumptions, resting.signed = state.regions, state.assumptions, state.signed
        resting.put(self.architecture.sp, block.load(SP, 8))
        resting.put(self.architecture.frame_pointer, block.load(frame, 8))
        resting.put(self.architecture.base, block.load(base, 8))
        resting.pc = label - 1
        self.unwound(
            resting, Unwinder(self.engine(), resting).caller(self.columns), flow.context, self.image.place(label)
        )

    def arrived_elsewhere(self, state, flow):
        """The switch went to a flow of which nothing is known: it finds what its block had."""
        place = state.exit.place
        self.facts.prove(state, state.exit.kind == "branch", f"ends by a {state.exit.kind}", place)
        self.facts.equal(
            state, state.exit.target, self.arriving["pc"], "goes to another address than the arriving pc", place
        )
        for register in (
            self.architecture.sp,
            self.architecture.frame_pointer,
            self.architecture.base,
            *(["x18"] if self.shadow else []),
        ):
            what = "sp" if register == self.architecture.sp else register
            self.facts.equal(
                state, state.get(register), self.arriving[what], f"{register} is not the arriving one", place
            )
        self.facts.equal(
            state,
            state.get(self.architecture.arguments[0]),
            state.regions["the block"].base,
            "the block's address is lost",
            place,
        )
        self.thread_is_left_alone(state, flow.context, place)

    def thread_is_left_alone(self, state, context, place):
        for register in self.thread:
            self.facts.equal(
                state, state.get(register), context.registers[register], f"{register} is not the thread's", place
            )
            self.facts.prove(state, register not in state.touched, f"{register} is read or written", place)

    def returned(self, state, flow, other, result=None):
        """The function of a flow has returned, after a switch by the other: its caller finds everything as it was."""
        context, place, who = flow.context, state.exit.place, flow.function
        if not self.facts.prove(state, state.exit.kind == "ret", f"{who} does not return", place):
            return
        self.facts.equal(state, state.exit.target, context.return_address, f"{who} returns to another address", place)
        self.facts.equal(
            state, state.sp, context.sp_afterwards, f"sp is not what it was before the call of {who}", place
        )
        for register in self.kept:
            self.facts.equal(
                state,
                state.get(register),
                context.registers[register],
                f"{register} is not what it was before the call of {who}",
                place,
            )
        self.thread_is_left_alone(state, other.context, place)
        if result is not None:
            self.facts.equal(
                state, state.get(self.architecture.results[0]), result, f"{who} returns another word", place
            )
        if flow.values is not None:
            new, old = state.regions[f"{flow.name}'s values"].content, Bytes(f"{flow.name}'s values")
            for first, count in ((0, INTEGERS), (INTEGERS, NUMBERS)):
                for i in range(count):
                    self.facts.equal(
                        state,
                        new.load(8 * (first + i), 8),
                        old.load(8 * (first + (i + 1) % count), 8),
                        f"{who} has lost a value that was alive",
                        place,
                    )

    # -- theorems -----------------------------------------------------------------------------------------------------

    def there_and_back(self, resumer, fiber):
        """R resumes what is elsewhere; F suspends and R's function returns; Q resumes and F's function returns."""
        passing = self.architecture.arguments[1]
        for state, flow in [self.call("R", resumer)]:
            block = state.regions["the block"].content
            if self.signs:
                block.store(PC, signature(state, block.load(PC, 8), block.load(SP, 8)))
            self.region(state, "elsewhere", block.load(SP, 8), (0, 0), (0, 0)).is_stack = True
            ends = self.run(state, flow)
        for away in ends:
            self.arrived_elsewhere(away, flow)
            self.left(away, flow)
            del away.regions["elsewhere"]
            state, suspending = self.call("F", fiber, away)
            word_passed = state.get(passing) if fiber.endswith("_passing") else None
            for back in self.run(state, suspending):
                self.returned(back, flow, suspending, word_passed)
                self.left(back, suspending)
                for name in ("R's stack", "R's values", "R's shadow stack"):
                    back.regions.pop(name, None)
                state, again = self.call("Q", resumer, back)
                for end in self.run(state, again):
                    self.returned(end, suspending, again)
                    self.left(end, again)

    def refused(self, fiber):
        """try_suspend, where the tag bit says that the resumer does not wait: nothing happens."""
        state, flow = self.call("F", fiber)
        block = state.regions["the block"].content
        block.store(PC, z3.simplify(block.load(PC, 8) | 4))
        self.region(state, "elsewhere", block.load(SP, 8), (0, 0), (0, 0)).is_stack = True
        for end in self.run(state, flow):
            self.returned(end, flow, flow)
            self.facts.prove(end, z3.Extract(7, 0, end.get("x0")) == 0, "does not say that it refused", end.exit.place)
            self.facts.prove(
                end, not any(name == "the block" for name, _, _ in end.written), "writes into the block", end.exit.place
            )

    def first_entry(self, resumer):
        """make_control_block makes a block, R resumes: the entry is called with its argument."""
        name = next((s for s in self.image.symbols if "make_control_block" in s), None)
        if not name:
            raise ImageError(f"{self.image.name}: has no make_control_block")
        state, creator = self.call("C", name)
        arguments = ("x1", "x2", "x3", "x4") if self.architecture.is_aarch64 else ("rsi", "rdx", "rcx", "r8")
        top, _, entry, argument = (creator.context.registers[r] for r in arguments)
        for made in self.engine().run(state, self.image.address(name)):
            self.returned(made, creator, creator)
            sp = made.regions["the block"].content.load(SP, 8)
            if not self.shadow:
                self.facts.equal(
                    made,
                    sp,
                    top & word(~15 % (1 << 64)),
                    "the fiber's stack does not begin at its top",
                    made.exit.place,
                )
            state, flow = self.call("R", resumer, made)
            self.region(state, "the fiber's stack", sp, (-8, 0), (-8, 0)).is_stack = True
            for end in self.run(state, flow):
                place = end.exit.place
                self.facts.equal(end, end.exit.target, entry, "goes to another address than the entry", place)
                self.facts.equal(
                    end, end.get(self.architecture.arguments[0]), argument, "the argument is another one", place
                )
                if self.shadow:
                    self.facts.equal(
                        end, end.get("x18"), sp, "x18 is not the beginning of the shadow call stack", place
                    )
                self.left(end, flow)

    def prove(self):
        for mine in COMPILERS:
            for resumer in RESUMING:
                self.first_entry(f"{mine}_{resumer}")
                for other in COMPILERS:
                    for fiber in SUSPENDING:
                        self.there_and_back(f"{mine}_{resumer}", f"{other}_{fiber}")
            if self.architecture.is_aarch64:
                self.refused(f"{mine}_try_suspend")
