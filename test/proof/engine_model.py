# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""The engine's model of the instructions, compared with a processor: the functions of the switch on random registers
and memory, by the engine and by the machine (AArch64: by qemu), must leave the same registers and the same memory."""

import itertools
import random
import struct
import subprocess

import inline_switch
from engine import Bytes, Engine, Facts, Region, State, number, word
from objects_proven import FLAGS, SHADOW_CALL_STACK, Variant, assemble, compiler, folder_of, run
from toolchain import ROOT

ARENA, SIZE, LANDING = 0x20000000, 0x3000, 0x30000000
CASES = 10  # of each function
EMULATOR = {"aarch64": ["qemu-aarch64", "-cpu", "cortex-a72"], "x86_64": []}  # without pointer authentication
GENERAL = {
    "aarch64": [*(f"x{i}" for i in range(31)), "xsp"],
    "x86_64": ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{i}" for i in range(8, 16))],
}
RETURN_ADDRESS = {"aarch64": 0x98, "x86_64": 0x38}  # in a context at rest
VARIANTS = [
    Variant("aarch64", "plain", ("-mbranch-protection=none",), {}),
    Variant("aarch64", "PAC and BTI", ("-mbranch-protection=standard",), {}),
    Variant("aarch64", "shadow call stack", tuple(SHADOW_CALL_STACK), {"shadow_call_stack": True}),
    Variant("x86_64", "IBT", ("-fcf-protection=branch",), {}),
]
CASE = struct.Struct("<32Q64QQII")


class Case:
    def __init__(self, architecture, generator, start, changes, memory=None):
        self.general = [generator.getrandbits(64) for _ in GENERAL[architecture]]
        self.general += [0] * (32 - len(self.general))
        for register, value in changes.items():
            self.general[GENERAL[architecture].index(register)] = value
        self.vectors = [generator.getrandbits(64) for _ in range(64)]
        if architecture == "x86_64":
            self.vectors[32:] = [0] * 32
        self.start = start
        if architecture == "aarch64":
            self.general[17] = start  # it is reached through x17
        self.mxcsr, self.x87_cw = control_words(generator) if architecture == "x86_64" else (0, 0)
        self.memory = bytearray(memory or generator.randbytes(SIZE))

    def packed(self):
        return CASE.pack(*self.general, *self.vectors, self.start, self.mxcsr, self.x87_cw) + bytes(self.memory)

    def put(self, address, value):
        struct.pack_into("<Q", self.memory, address - ARENA, value)


def control_words(generator):
    """Values without a trap: all exceptions are masked."""
    return (
        generator.getrandbits(16) & 0xE07F | 0x1F80,
        0x7F | generator.choice((0, 2, 3)) << 8 | generator.getrandbits(2) << 10,
    )


class KnownBytes(Bytes):
    def __init__(self, memory):
        super().__init__("arena")
        self.memory = memory

    def copy(self):
        other = KnownBytes(self.memory)
        other.content = dict(self.content)
        return other

    def unknown(self, offset):
        self.store(offset, word(self.memory[offset], 8))


class Model:
    """The out-of-line switch."""

    build = staticmethod(assemble)

    def __init__(self, variant, folder):
        self.variant = variant
        self.image = self.build(variant, folder)
        self.architecture = self.image.architecture
        self.facts = Facts()
        self.engine = Engine(self.image, self.facts, signatures=False)
        self.engine.look_at_sp = lambda state, stores: None  # registers are numbers here, and no signal comes
        folder = folder_of(variant, folder)
        self.code = folder / "code"
        self.code.write_bytes(self.image.bytes_at(self.image.first, self.image.last - self.image.first))
        self.program = folder / "states"
        run(
            [
                *compiler(variant.architecture),
                "-std=c++20",
                *FLAGS,
                "-static",
                "-no-pie",
                "-Wl,-Ttext-segment=0x60000000",
                ROOT / "test/proof/states.cpp",
                "-o",
                self.program,
            ]
        )

    def by_engine(self, case):
        """The registers and the memory afterwards."""
        architecture, names = self.variant.architecture, GENERAL[self.variant.architecture]
        state = State(self.architecture, "random")
        for name, value in zip(names, case.general):
            state.put(name, word(value))
        vector = "q" if architecture == "aarch64" else "ymm"
        for i in range(32 if vector == "q" else 16):
            offset = self.architecture.place_of(f"{vector}{i}")[0]
            state.registers.store(offset, word(case.vectors[2 * i] | case.vectors[2 * i + 1] << 64, 128))
        if architecture == "x86_64":
            state.put("mxcsr", word(case.mxcsr, 32))
            state.put("x87_cw", word(case.x87_cw, 16))
        state.regions["arena"] = Region("the arena", word(ARENA), (0, SIZE), (0, SIZE), KnownBytes(case.memory))
        (end,) = self.engine.run(state, case.start)
        if number(end.exit.target) != LANDING:
            raise ValueError(f"{end.exit.place} goes to {end.exit.target}, not to the landing")
        general = [number(end.get(n)) for n in names] + [0] * (32 - len(names))
        vectors = []
        for i in range(32 if vector == "q" else 16):
            both = number(end.registers.load(self.architecture.place_of(f"{vector}{i}")[0], 16))
            vectors += [both & (1 << 64) - 1, both >> 64]
        vectors += [0] * (64 - len(vectors))
        words = (number(end.get("mxcsr")), number(end.get("x87_cw"))) if architecture == "x86_64" else (0, 0)
        content = bytearray(case.memory)
        for _, offset, size in end.written:
            content[offset : offset + size] = number(end.regions["arena"].content.load(offset, size)).to_bytes(
                size, "little"
            )
        return general, vectors, words, bytes(content)

    def by_machine(self, cases):
        done = subprocess.run(
            [*EMULATOR[self.variant.architecture], str(self.program), str(self.code), hex(self.image.first)],
            input=b"".join(c.packed() for c in cases),
            capture_output=True,
            check=False,
            timeout=300,
        )
        size = CASE.size + SIZE
        if done.returncode != 0 or len(done.stdout) != size * len(cases):
            raise ValueError(
                f"{self.program}: exit code {done.returncode}, {len(done.stdout) // size} of {len(cases)} cases: "
                f"{done.stderr.decode(errors='replace')}"
            )
        for at in range(0, len(done.stdout), size):
            values = CASE.unpack_from(done.stdout, at)
            yield list(values[:32]), list(values[32:96]), values[97:99], done.stdout[at + CASE.size : at + size]

    def cases(self, generator):
        address, names = self.image.address, self.variant.implementation()
        architecture = self.architecture
        first, second, third = architecture.arguments
        for _ in range(CASES):
            sp = ARENA + 0x1000 + 16 * generator.randrange(64) - (0 if architecture.link else 8)
            to = ARENA + 0x2000 + 16 * generator.randrange(64)
            running = {architecture.sp: sp, first: to}
            if architecture.link:
                running[architecture.link] = LANDING
            jump = Case(self.variant.architecture, generator, address(names.jump), running)
            jump.put(to + RETURN_ADDRESS[self.variant.architecture], LANDING)
            if self.variant.architecture == "x86_64":
                mxcsr, x87_cw = control_words(generator)
                x87_cw = generator.choice((jump.x87_cw, x87_cw))
                jump.put(to, mxcsr | x87_cw << 32)
            yield jump
            ontop = Case(
                self.variant.architecture,
                generator,
                address(names.ontop),
                {**running, third: LANDING},
                jump.memory,
            )
            ontop.put(to + RETURN_ADDRESS[self.variant.architecture], generator.getrandbits(64))
            yield ontop
            make = Case(
                self.variant.architecture,
                generator,
                address(names.make),
                {**running, first: ARENA + 0x2800 + generator.randrange(64), second: 0x600, third: LANDING},
            )
            if not architecture.link:
                make.put(sp, LANDING)
            yield make
            general, _, _, memory = self.by_engine(make)
            made = general[GENERAL[self.variant.architecture].index(architecture.results[0])]
            yield Case(
                self.variant.architecture, generator, address(names.jump), {**running, first: made}, memory
            )
            yield Case(
                self.variant.architecture,
                generator,
                address("weft_fiber_start"),
                {architecture.sp: to, architecture.frame_pointer: LANDING},
            )

    def compare(self, seed):
        generator = random.Random(seed)
        cases = list(self.cases(generator))
        names = GENERAL[self.variant.architecture]
        for case, machine in zip(cases, self.by_machine(cases), strict=True):
            engine, place = self.by_engine(case), self.image.place(case.start)
            for i, name in enumerate(names):
                if name != "x17" and engine[0][i] != machine[0][i]:  # the landing itself changes x17
                    self.facts.fail(
                        f"the machine leaves {machine[0][i]:#x} in {name}, the engine {engine[0][i]:#x}", place
                    )
            for what, at in (("vector registers", 1), ("control words", 2), ("memory", 3)):
                if engine[at] != machine[at]:
                    self.facts.fail(f"the machine leaves other {what} than the engine", place)
        return len(cases), self.facts.failures


class PlacesModel(Model):
    """The inline switch, and what compilers put around it."""

    build = staticmethod(inline_switch.build)

    def cases(self, generator):
        name, architecture = self.variant.architecture, self.architecture
        first, second = architecture.arguments[:2]
        inverted = 0 if architecture.link else (1 << 64) - 1
        block, values = ARENA + 0x2800, ARENA + 0x2900
        for _ in range(CASES):
            for resuming, suspending in itertools.product(inline_switch.COMPILERS, repeat=2):
                running = {first: block, second: values}
                if architecture.link:
                    running[architecture.link] = LANDING
                stacks = [
                    ARENA + at + 16 * generator.randrange(64) - (0 if architecture.link else 8)
                    for at in (0x800, 0x1800)
                ]
                away = Case(
                    name,
                    generator,
                    self.image.address(f"{resuming}_resume_with_values"),
                    {**running, architecture.sp: stacks[0]},
                )
                away.put(block + inline_switch.PC, LANDING ^ inverted)
                away.put(block + inline_switch.SP, stacks[1])
                if not architecture.link:
                    away.put(stacks[0], LANDING)
                yield away
                _, _, _, memory = self.by_engine(away)
                yield Case(
                    name,
                    generator,
                    self.image.address(f"{suspending}_suspend_with_values"),
                    {**running, architecture.sp: stacks[1]},
                    memory,
                )
