# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Fibers of weft in lldb, of a live process or a core file, after `command script import weft_lldb.py`:

    weft-fibers                 every fiber
    weft-backtrace FIBER|all    where it is, who resumed it, which coroutine drives it, who awaits that, and so on

FIBER is a number of the list, an address, or an expression of type weft::fiber or weft::fiber_ref. Needs weft.py beside
it. lldb walks the stacks as those of threads, which are there for the time of a command only."""

import os
import re
import struct
import sys

import lldb

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import weft
sys.path.pop(0)

FIRST_ID = 0x7ef7_0000_0000  # of the threads that stand for contexts
X86 = "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split()  # in the order of DWARF's numbers
ARM = [f"x{i}" for i in range(31)] + ["sp", "pc"]
SETTING = "target.process.python-os-plugin-path"


class OperatingSystemPlugIn:
    """What lldb asks for the threads of. What lasts is kept in lldb's own module, as lldb loads this one anew."""

    def __init__(self, process):
        self.names = ARM if process.target.triple.startswith(("aarch64", "arm64")) else X86
        roles = zip(("sp", "pc", "frame", "base"), ("sp", "pc", "x29", "x19") if self.names is ARM else
                    ("rsp", "rip", "rbp", "rbx"))
        self.roles = dict(roles)

    def get_thread_info(self):
        return [{"tid": FIRST_ID + i, "name": "fiber", "state": "stopped", "stop_reason": "none"}
                for i in range(len(lldb.weft_contexts))]

    def get_register_info(self):
        generic = {self.roles["sp"]: "sp", self.roles["pc"]: "pc", self.roles["frame"]: "fp", "x30": "lr"}
        registers = []
        for i, name in enumerate(self.names):
            register = {"name": name, "bitsize": 64, "offset": 8 * i, "encoding": "uint", "format": "hex", "set": 0,
                        "gcc": i, "dwarf": i}
            registers.append({**register, "generic": generic[name]} if name in generic else register)
        return {"sets": ["GPR"], "registers": registers}

    def get_register_data(self, tid):
        context = lldb.weft_contexts[tid - FIRST_ID]
        values = {self.roles[role]: value for role, value in context.items()}
        return struct.pack(f"<{len(self.names)}Q", *(values.get(name, 0) for name in self.names))

    def create_thread(self, tid, context):
        return None


class LldbTarget:
    """What weft.Program asks of a debugger."""

    def __init__(self, process):
        self.process = process
        self.target = process.target
        self.names = {}

    def symbol(self, name):
        for context in self.target.FindSymbols(name):
            address = context.symbol.GetStartAddress().GetLoadAddress(self.target)
            if address != lldb.LLDB_INVALID_ADDRESS:
                return address
        return None

    def read(self, address, size):
        error = lldb.SBError()
        data = self.process.ReadMemory(address, size, error)
        if error.Fail():  # a core file does not hold what the program's own file does
            error = lldb.SBError()
            data = self.target.ReadMemory(self.target.ResolveLoadAddress(address), size, error)
        return data if error.Success() and data and len(data) == size else None

    def function(self, address):
        if address not in self.names:
            symbol = self.target.ResolveLoadAddress(address).symbol
            begins = symbol and symbol.GetStartAddress().GetLoadAddress(self.target) == address
            self.names[address] = symbol.name if begins else None
        return self.names[address]

    def code(self, pc):
        return pc & ((1 << 48) - 1) if self.target.triple.startswith(("aarch64", "arm64")) else pc

    def stack_pointers(self):
        return {thread.GetIndexID(): thread.GetFrameAtIndex(0).GetSP() for thread in self.process
                if thread.GetThreadID() < FIRST_ID or thread.GetThreadID() >= FIRST_ID + (1 << 32)}


def place_of(frame):
    line = frame.GetLineEntry()
    return f" at {line.GetFileSpec()}:{line.GetLine()}" if line.GetFileSpec().IsValid() else ""


def name_of(frame):
    name = (frame.GetFunctionName() or "??").removeprefix("::")
    return name if name.endswith(")") else name + " ()"


def is_entry(frame):
    return frame.GetFunctionName() in weft.ENTRIES


def lines(frames):
    result = []
    for frame in frames:
        if is_entry(frame) or len(result) == 1000:
            break
        result.append(f"  #{len(result):<3} {frame.GetPC():#018x} in {name_of(frame)}{place_of(frame)}")
    return result


def file_of(frame):
    return frame.GetLineEntry().GetFileSpec().fullpath


def where(frames):
    chosen = next((f for f in frames if not weft.internal(name_of(f), file_of(f)) and not is_entry(f)), None)
    chosen = chosen or next(iter(frames), None)
    return name_of(chosen) + place_of(chosen) if chosen else "??"


class Session(weft.Program):
    def __init__(self, debugger):
        self.debugger = debugger
        process = debugger.GetSelectedTarget().GetProcess()
        if not process.IsValid():
            raise weft.Problem("weft: there is no process: run the program or open a core file")
        super().__init__(LldbTarget(process))
        self.process = process

    def walk(self, contexts, use):
        """use(frames) of each context. The saved pc is where it will go on: the instruction before it, which never
        runs, is the one that belongs to the statement, and an innermost frame is not looked up as a caller is."""
        if not contexts:
            return []
        selected = self.process.GetSelectedThread()
        thread_id, frame_id = selected.GetThreadID(), selected.GetSelectedFrame().GetFrameID()
        before = self.debugger.GetInternalVariableValue(SETTING, self.debugger.GetInstanceName()).GetStringAtIndex(0)
        lldb.weft_contexts = [{**context, "pc": context["pc"] - 1} for context in contexts]
        self.set_plugin(os.path.realpath(__file__))
        try:
            threads = [self.process.GetThreadByID(FIRST_ID + i) for i in range(len(contexts))]
            return [use(thread.frames if thread.IsValid() else []) for thread in threads]
        finally:
            lldb.weft_contexts = []
            self.set_plugin(before or "")
            self.process.SetSelectedThreadByID(thread_id)
            self.process.GetSelectedThread().SetSelectedFrame(frame_id)

    def set_plugin(self, path):
        result = lldb.SBCommandReturnObject()
        command = f'settings set {SETTING} "{path}"' if path else f"settings clear {SETTING}"
        self.debugger.GetCommandInterpreter().HandleCommand(command, result)

    def places(self, fibers):
        own = self.layout["own_switch"]
        known = [(f.address, registers) for f in fibers if own and (registers := self.registers(f))]
        found = self.walk([registers for _, registers in known], where)
        return dict(zip((address for address, _ in known), found))

    def frames(self, fiber):
        registers = self.registers(fiber)
        if registers:
            return self.walk([registers], lines)[0]
        thread = self.thread(fiber)
        return lines(self.process.GetThreadByIndexID(thread).frames) if thread else []

    def resumer_frames(self, fiber):
        return self.walk([self.saved(fiber.address, "resumer")], lines)[0]


def record_of(value):
    """The address of the fiber_record that a value of one of weft's types, a pointer or a number names."""
    value = value.GetNonSyntheticValue()
    kind = value.GetType().GetCanonicalType()
    if kind.IsReferenceType() or kind.IsPointerType() and kind.GetPointeeType().GetTypeClass() == lldb.eTypeClassClass:
        value = value.Dereference()
    for member in ("record_", "fiber_", "fiber"):
        child = value.GetChildMemberWithName(member)
        if child.IsValid():
            return record_of(child)
    return value.GetValueAsUnsigned() or value.GetLoadAddress()


def command(run):
    """A command of lldb that prints what run(session, argument) yields."""
    def invoke(debugger, argument, result, _):
        try:
            for line in run(Session(debugger), argument.strip()):
                result.AppendMessage(line)
        except weft.Problem as problem:
            result.SetError(str(problem))
    return invoke


@command
def fibers(session, argument):
    if argument:
        raise weft.Problem("weft-fibers takes no argument")
    found = session.fibers()
    lldb.weft_numbered = [f.address for f in found]
    places = session.places(found)
    return weft.listing(session, found, lambda fiber: places.get(fiber.address, ""))


@command
def backtrace(session, argument):
    if not argument:
        raise weft.Problem("weft-backtrace takes a fiber or `all`: see weft-fibers")
    chosen = session.fibers() if argument == "all" else [named(session, argument)]
    for fiber in chosen:
        yield from weft.backtrace(session, fiber, session.frames, session.resumer_frames)


def named(session, argument):
    frame = session.process.GetSelectedThread().GetSelectedFrame()
    if re.fullmatch(r"\d+|0x[0-9a-fA-F]+", argument):
        address = int(argument, 0)
    else:
        value = frame.EvaluateExpression(argument)
        if value.GetError().Fail():
            raise weft.Problem(f"weft: {value.GetError()}")
        address = record_of(value)
    if 0 < address <= len(lldb.weft_numbered):
        address = lldb.weft_numbered[address - 1]
    fiber = session.fiber(address)
    if not fiber:
        raise weft.Problem(f"weft: there is no fiber at {address:#x}: see weft-fibers")
    return fiber


def __lldb_init_module(debugger, _):
    if getattr(lldb, "weft_contexts", []):
        return  # loaded for its threads, in the midst of one of the commands: they must not be replaced
    lldb.weft_contexts = []
    lldb.weft_numbered = getattr(lldb, "weft_numbered", [])  # the fibers of the last list
    for name, function in (("weft-fibers", "fibers"), ("weft-backtrace", "backtrace")):
        debugger.HandleCommand(f"command script add --overwrite --function weft_lldb.{function} {name}")
