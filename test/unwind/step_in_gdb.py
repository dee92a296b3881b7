# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Runs inside gdb: steps through every switch of target.cpp one instruction at a time and, at each of them, asks gdb
for the backtrace and the caller's registers. Before the hand-over they must be those of the context that leaves, after
it those of the one that arrives, and a context that begins must end the stack.

The truth is what the processor held when the context was left: at the first instruction of a switch the callee-saved
registers, filled here with a fresh pattern each time, are the caller's."""

import os
import re

import gdb

# The program keeps return addresses signed, and gdb does not strip signatures: it sees one caller, as raw bits. The file
# named here says where the call frame information promises a signed address: "first last" in each line.
SIGNED = os.environ.get("WEFT_SIGNED")


class Wrong(Exception):
    pass


class Aarch64:
    sp, pc, fp, base = "sp", "pc", "x29", "x19"
    general = [f"x{n}" for n in range(19, 29)]
    floating = [f"d{n}" for n in range(8, 16)]

    @staticmethod
    def caller_at_entry(frame):
        return number(frame, "x30"), number(frame, "sp")


class X86_64:
    sp, pc, fp, base = "rsp", "rip", "rbp", "rbx"
    general = ["rbx", "r12", "r13", "r14", "r15"]
    floating = []

    @staticmethod
    def caller_at_entry(frame):
        sp = number(frame, "rsp")
        return word(sp), sp + 8


def number(frame, register):
    if register.startswith("d"):  # gdb unwinds v8, and shows d8 of the innermost frame for every frame
        return int(frame.read_register("v" + register[1:])["d"]["u"][0])
    return int(frame.read_register(register)) & 0xFFFFFFFFFFFFFFFF


def word(address):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, 8)), "little")


def plain(pc):
    return pc & 0x0000FFFFFFFFFFFF if SIGNED else pc


def symbol(name):
    return int(gdb.parse_and_eval(f"(unsigned long)&{name}"))


def frames_of_now():
    """The frames that exist as such on a stack, innermost first."""
    frame, found = gdb.newest_frame(), []
    while frame is not None:
        if frame.type() != gdb.INLINE_FRAME:
            found.append(frame)
        if len(found) > 20:
            raise Wrong("the backtrace does not end")
        frame = frame.older()
    return found


def name(frame):
    return frame.name() or "?"


def expect_chain(frames, chain):
    names = [name(f) for f in frames]
    if names != chain:
        raise Wrong(f"the functions on the stack are {names} and should be {chain}")
    if chain[-1] != "main" and frames[-1].unwind_stop_reason() != gdb.FRAME_UNWIND_OUTERMOST:
        reason = gdb.frame_stop_reason_string(frames[-1].unwind_stop_reason())
        raise Wrong(f"the stack does not end at {names[-1]} but because of: {reason}")


class Caller:
    """A context seen from its switch: the frames above it, and the registers of the nearest one."""

    def __init__(self, chain, registers, frames=()):
        self.chain = chain  # names
        self.registers = registers
        self.places = [(number(f, arch.sp), plain(number(f, arch.pc))) for f in frames]

    @classmethod
    def leaving(cls, chain):
        """The context that is about to leave, at the first instruction of a function of its."""
        frame = gdb.newest_frame()
        registers = {r: number(frame, r) for r in arch.general + arch.floating + [arch.fp]}
        pc, registers[arch.sp] = arch.caller_at_entry(frame)
        registers[arch.pc] = plain(pc)
        frames = frames_of_now()[1:]
        found = cls(chain, registers, frames)
        found.expect(frames)
        return found

    @classmethod
    def beginning(cls, function, top):
        """A context that has not run yet: its first function has no caller."""
        return cls([function], {arch.sp: top})

    def expect(self, frames):
        if SIGNED:
            frames = frames[:1]
        else:
            expect_chain(frames, self.chain)
        for register, value in self.registers.items():
            found = number(frames[0], register)
            if register == arch.pc:
                found = plain(found)
            if found != value:
                raise Wrong(f"{register} of the caller {name(frames[0])} is {found:#x} and should be {value:#x}")
        for frame, (sp, pc) in zip(frames, self.places):
            if (number(frame, arch.sp), plain(number(frame, arch.pc))) != (sp, pc):
                raise Wrong(f"{name(frame)} is not where it was")

    def allows(self, frames):
        try:
            self.expect(frames)
            return True
        except Wrong:
            return False


patterns = 0


def fill_callee_saved():
    global patterns
    patterns += 1
    for index, register in enumerate(arch.general):
        gdb.execute(f"set ${register} = {0x1000000000000 * patterns + 0x11110000 + index}")
    for index, register in enumerate(arch.floating):
        gdb.execute(f"set ${register}.u = {0x1000000000000 * patterns + 0x22220000 + index}")


def run_to(location):
    gdb.execute(f"tbreak {location}", to_string=True)
    gdb.execute("continue", to_string=True)
    if gdb.selected_inferior().pid == 0:
        raise Wrong(f"the program ended before it came to {location}")


class Signatures:
    """Is the caller's pc signed exactly where the unwinder is told so?"""

    def __init__(self):
        with open(SIGNED, encoding="ascii") as file:
            self.ranges = [tuple(int(n, 16) for n in line.split()) for line in file]
        self.seen = []

    def see(self, frames, context):
        pc = number(frames[0], arch.pc)
        promised = any(first <= pc < last for first, last in self.ranges)
        raw = number(frames[1], arch.pc)
        self.seen.append((context, promised, raw != plain(raw), where()))

    def judge(self):
        """One signature in 128 is all zeros: an address that is never seen signed says nothing."""
        for told in {context for context, _, signed, _ in self.seen if signed}:
            for context, promised, signed, place in self.seen:
                if context == told and promised != signed:
                    raise Wrong(f"at {place}: the caller's pc is {'signed' if signed else 'plain'} "
                                f"and the unwinder is told that it is {'signed' if promised else 'plain'}")
        self.seen = []


def on_other_stack():
    start = symbol("other_stacks")
    sp = number(gdb.newest_frame(), arch.sp)
    return start <= sp <= start + int(gdb.parse_and_eval("sizeof other_stacks"))


def where():
    frame = gdb.newest_frame()
    code = gdb.execute("x/i $pc", to_string=True).strip().lstrip("=> ")
    return f"{name(frame)}: {code}"


def bounds(function):
    listing = gdb.execute(f"disassemble {function}", to_string=True)
    addresses = [int(a, 16) for a in re.findall(r"^(?:=>)?\s*(0x[0-9a-f]+)", listing, re.M)]
    return addresses[0], addresses[-1]


class Steps:
    """Steps while the pc is inside `functions` and lets `check` look at every instruction."""

    def __init__(self, functions, in_assembly=True):
        self.inside = [bounds(f) for f in functions]
        self.in_assembly = in_assembly
        self.sp = 0
        self.count = 0

    def scribble(self):
        """Nothing that has been popped may be looked up in memory any more."""
        sp = number(gdb.newest_frame(), arch.sp)
        if sp > self.sp and self.count:
            gdb.selected_inferior().write_memory(sp - 256, b"\xa5" * 256)
            gdb.invalidate_cached_frames()
        self.sp = sp

    def run(self, check):
        while True:
            pc = number(gdb.newest_frame(), arch.pc)
            if not any(first <= pc <= last for first, last in self.inside):
                return self.count
            if self.in_assembly:
                self.scribble()
            try:
                check(frames_of_now())
            except (Wrong, gdb.error) as problem:
                raise Wrong(f"at {where()}: {problem}") from None
            self.count += 1
            if self.count > 300:
                raise Wrong("the switch does not end")
            gdb.execute("stepi", to_string=True)


def expect_arrival(chain):
    """The first instruction after a switch."""
    frames = frames_of_now()
    if SIGNED:
        frames, chain = frames[:1], chain[:1]
    try:
        expect_chain(frames, chain) if not SIGNED else None
        if name(frames[0]) != chain[0]:
            raise Wrong(f"it is in {name(frames[0])}")
    except Wrong as problem:
        raise Wrong(f"where the switch arrived, {problem}") from None


def step_through_call(switch, leaving_chain, arriving):
    """jump and ontop. Returns the context that was left."""
    run_to(f"*{switch}")
    fill_callee_saved()
    leaving = Caller.leaving(leaving_chain)
    left_other_stack = on_other_stack()
    names = {switch}
    if arriving.chain[0].endswith("_entry"):
        names.add(arriving.chain[0])
    handed_over = False

    def check(frames):
        nonlocal handed_over
        handed_over = handed_over or on_other_stack() != left_other_stack
        if name(frames[0]) not in names:
            raise Wrong(f"the function is {name(frames[0])}")
        if name(frames[0]) in arriving.chain:  # the first function of a stack
            expect_chain(frames, [name(frames[0])])
        else:
            (arriving if handed_over else leaving).expect(frames[1:])
            if SIGNED:
                signatures.see(frames, handed_over)

    count = Steps(names).run(check)
    if not handed_over:
        raise Wrong(f"{switch} did not change stacks")
    expected = arriving.chain
    if switch == "weft_ontop_context":
        expected = ["call_on_top"] + expected
    elif expected[0].endswith("_entry"):
        expected = ["context_begins"] + expected
    expect_arrival(expected)
    report(switch, count, f"{leaving_chain[0]} -> {arriving.chain[0]}")
    return leaving


def step_through_make():
    run_to("*weft_make_context")
    fill_callee_saved()
    leaving = Caller.leaving(["main_makes", "main"])
    count = Steps(["weft_make_context"]).run(lambda frames: leaving.expect(frames[1:]))
    leaving.expect(frames_of_now())
    report("weft_make_context", count, "main_makes")


def step_through_inline(switch, leaving_chain, block, arriving_function, arriving):
    """The inline switch, in the function `switch`, to the context in `block`, which was left in `arriving_function`. The
    block has the resumer's {base register, frame pointer}, {pc, sp}, and the fiber's {base register, frame pointer}."""
    run_to(f"*{switch}")
    fill_callee_saved()
    leaving = Caller.leaving(leaving_chain)
    left_other_stack = on_other_stack()
    pc, sp = (word(block + 8 * n) for n in (2, 3))
    if arch is not Aarch64 and switch == "main_switches":
        pc = ~pc % 2**64  # a fiber's rests inverted
    base, fp = (word(block + 8 * n) for n in ((4, 5) if switch == "main_switches" else (0, 1)))
    names = {switch, arriving_function}
    seen_arriving = False

    def expect_arriving(frames):
        if arriving is None:
            Caller([arriving_function], {arch.sp: sp, arch.pc: plain(pc)}).expect(frames)
            return
        Caller([arriving_function] + arriving.chain, {arch.sp: sp, arch.pc: plain(pc), arch.fp: fp, arch.base: base}) \
            .expect(frames)
        if not SIGNED:
            arriving.expect(frames[1:])

    def check(frames):
        nonlocal seen_arriving
        if name(frames[0]) == arriving_function:  # it has control
            if arriving is None:
                expect_chain(frames, [arriving_function])
            else:
                arriving.expect(frames[1:])
        elif on_other_stack() != left_other_stack:
            seen_arriving = True
            expect_arriving(frames[1:])
        elif seen_arriving or not leaving.allows(frames[1:]):
            try:
                expect_arriving(frames[1:])
            except Wrong as problem:
                leaving.expect(frames[1:]) if not seen_arriving else None
                raise problem
            seen_arriving = True
        if SIGNED and name(frames[0]) == switch:
            signatures.see(frames, seen_arriving)

    count = Steps(names, in_assembly=False).run(check)
    if not seen_arriving:
        raise Wrong(f"{switch} did not change stacks")
    expect_arrival(["fiber_begins", arriving_function] if arriving is None else arriving.chain)
    report("inline switch", count, f"{switch} -> {arriving_function}")
    return leaving


def report(switch, count, what):
    if SIGNED:
        signatures.judge()
    print(f"{switch}: right at all {count} instructions ({what})")


def step_through_everything():
    in_main = ["main_jumps", "main"]
    in_context = ["context_jumps", "context_works", "context_begins", "weft_context_entry"]
    stacks, size = symbol("other_stacks"), int(gdb.parse_and_eval("sizeof other_stacks[0]"))

    step_through_make()
    context = Caller.beginning("weft_context_entry", stacks + size)
    for _ in range(3):
        main = step_through_call("weft_jump_context", in_main, context)
        context = step_through_call("weft_jump_context", in_context, main)
    main = step_through_call("weft_ontop_context", ["main_calls_on_top", "main"], context)
    step_through_call("weft_jump_context", in_context, main)
    step_through_make()
    new = Caller.beginning("weft_context_entry", stacks + 2 * size)
    main = step_through_call("weft_ontop_context", ["main_calls_on_top", "main"], new)
    step_through_call("weft_jump_context", in_context, main)

    run_to("*main_resumes")
    block = number(gdb.newest_frame(), "x0" if arch is Aarch64 else "rdi")
    fiber, function = None, "weft_fiber_entry"
    in_fiber = ["fiber_suspends", "fiber_begins", "weft_fiber_entry"]
    for _ in range(3):
        main = step_through_inline("main_switches", ["main_resumes", "main"], block, function, fiber)
        fiber = step_through_inline("fiber_switches", in_fiber, block, "main_switches", main)
        function = "fiber_switches"


def main():
    global arch, signatures
    for setting in ("pagination off", "confirm off", "disable-randomization off", "breakpoint pending off",
                    "suppress-cli-notifications on"):
        gdb.execute(f"set {setting}")
    gdb.execute("handle SIGILL SIGSEGV SIGTRAP stop nopass", to_string=True)
    if "WEFT_STUB" in os.environ:
        gdb.execute(f"target remote {os.environ['WEFT_STUB']}")
    else:
        gdb.execute("starti", to_string=True)
    arch = Aarch64 if "aarch64" in gdb.selected_inferior().architecture().name() else X86_64
    signatures = Signatures() if SIGNED else None
    step_through_everything()
    print("right everywhere")
    gdb.execute("kill", to_string=True)


result = 1
try:
    main()
    result = 0
except Exception as problem:
    print(f"WRONG: {type(problem).__name__}: {problem}")
gdb.execute(f"quit {result}")
