# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Fibers of weft in gdb, of a live process or a core file:

    info weft-fibers            every fiber
    weft-backtrace FIBER|all    where it is, who resumed it, which coroutine drives it, who awaits that, and so on

FIBER is a number of the list, an address, or an expression of type weft::fiber, weft::fiber_ref or weft::generator.
Works without debug information, as long as there are symbols. The first part knows no debugger: weft_lldb.py uses it,
too.
"""

import re
import struct

# The members of weft::detail::debugger_layout and debugger_records, see lib/debug/debugger.h.
LAYOUT = ("version own_switch details state progress lowest size inner outer driver operations name pc sp fiber_base "
          "fiber_frame resumer_base resumer_frame driver_body tagged resumable suspendable inverted").split()
RECORDS = "with_room full none next begun record_size".split()
SUSPENDED, SET_ASIDE = 1, 16
BEGUN, ENDED = 1, 2
MOST_SLABS = MOST_RECORDS = 65536  # in a list, and in a slab: there are more only if memory was overwritten
# As GCC and Clang call the function that resumes a coroutine.
RESUMES = re.compile(r"( \[clone \.(actor|resume)\]| \(\.(actor|resume)\)|\.(actor|resume))$")
# What is weft's, Asio's or the standard library's: not what a user calls the place where a body waits. With little debug information names have no namespace: then weft's are known by
# themselves and their file. (The file alone does not tell: the statement a function waits in may have been inlined.)
INTERNAL = re.compile(r"([\w()]+ )?(weft(::|_)|(boost::)?asio::|std::)")  # lldb names what templates return, too
INTERNAL_NAME = re.compile(r"((try_)?switch_(through|and_return|to_(fiber|resumer)(_\w+)?)|leave_\w+|(suspend|resume|await|run)(_\w+)?|yield|get)([<( ]|$)")
INTERNAL_FILE = re.compile(r"/(weft/(detail/(\w+/)?)?\w+\.hpp|lib/(fiber|bridge)/\w+\.cpp)$")
ENTRIES = ("weft_fiber_entry", "weft_fiber_start")


def internal(name, file):
    name = name or ""
    return bool(INTERNAL.match(name) or INTERNAL_NAME.match(name) and INTERNAL_FILE.search(file or ""))


class Problem(Exception):
    """Told to the user as it is."""


class Fiber:
    """A fiber_record and its fiber_details, as they were when they were read."""

    def __init__(self, program, address):
        self.address = address
        self.details, self.state, self.progress, tagged = program.members(
            address, details="Q", state="I", progress="I", tagged="Q")
        if (tagged >> program.layout["resumable"] & 1) == program.layout["inverted"]:
            self.state |= SUSPENDED  # and nothing else is to be said of it
        self.lowest, self.size, self.inner, self.outer, self.driver, self.operations, name = program.members(
            self.details, lowest="Q", size="Q", inner="Q", outer="Q", driver="Q", operations="Q", name="Q")
        self.name = program.text(name)

    def alive(self):
        """Is it one with a body? One that is idle neither waits nor has begun."""
        return (self.lowest + self.size == self.details and self.operations
                and (self.progress & BEGUN or self.state & SUSPENDED))


class Program:
    """The fibers of what is being debugged. `target` reads it: see GdbTarget for what it must offer."""

    def __init__(self, target):
        self.target = target
        if self.table("weft_debugger_layout", LAYOUT[:1], "I")["version"] != 5:
            raise Problem("weft: this script is of another version than the library in the program")
        self.layout = self.table("weft_debugger_layout", LAYOUT, "I")
        self.slabs = self.table("weft_debugger_records", RECORDS, "Q")
        self.known = {}
        self.drivers = None

    def table(self, name, members, kind):
        address = self.target.symbol(name)
        data = address and self.read(address, struct.calcsize(kind) * len(members))
        if not data:
            raise Problem("weft: no fibers here: the program does not use weft, is stripped, or has not started")
        return dict(zip(members, struct.unpack(f"<{len(members)}{kind}", data)))

    def read(self, address, size):
        """All of it, or None."""
        return self.target.read(address, size) if size and 0 < address < (1 << 64) - size else None

    def number(self, address):
        data = self.read(address, 8)
        return struct.unpack("<Q", data)[0] if data else 0

    def members(self, base, **kinds):
        """Of a record or its details; zeros where they cannot be read."""
        end = max(self.layout[member] + struct.calcsize(kind) for member, kind in kinds.items())
        data = self.read(base, end) or bytes(end)
        return [struct.unpack_from("<" + kind, data, self.layout[member])[0] for member, kind in kinds.items()]

    def memory(self, address, size):
        """Pages that cannot be read, such as guards, count as zeros."""
        data = self.read(address, size)
        if data is None and size <= 4096:
            return bytes(size)
        edges = [address, *range((address | 4095) + 1, address + size, 4096), address + size]
        return b"".join(self.memory(a, b - a) for a, b in zip(edges, edges[1:])) if data is None else data

    def text(self, address):
        """The string at an address, or what can be read of its first 80 bytes."""
        data = b""
        while address and len(data) < 80 and b"\0" not in data:
            part = self.read(address + len(data), 8 - (address + len(data)) % 8)
            if not part:
                break
            data += part
        return data.split(b"\0")[0].decode("utf-8", "replace")

    def fiber(self, address):
        """The fiber at an address, or None."""
        if address not in self.known:
            fiber = Fiber(self, address) if address and address % 64 == 0 else None
            self.known[address] = fiber if fiber and fiber.alive() else None
        return self.known[address]

    def records(self):
        """The addresses of the records in which there seems to be a fiber."""
        size = self.slabs["record_size"]
        for first in (self.slabs["with_room"], self.slabs["full"]):
            slab, passed = self.number(first), set()
            while slab and slab not in passed and len(passed) < MOST_SLABS:
                passed.add(slab)
                begun = self.number(slab + self.slabs["begun"])
                begun = begun if begun <= MOST_RECORDS else 0
                data = self.memory(slab + size, begun * size)
                for place in range(0, begun * size, size):
                    if struct.unpack_from("<Q", data, place + self.layout["details"])[0]:
                        yield slab + size + place
                slab = self.number(slab + self.slabs["next"])

    def fibers(self):
        return [fiber for address in sorted(set(self.records())) if (fiber := self.fiber(address))]

    # Where a fiber is. Of those that have resumed each other only the outermost is said to be suspended, and its block
    # holds the innermost; the block of any other holds where its resumer waits for it.

    def last(self, fiber, neighbour):
        passed = set()
        while fiber.address not in passed and self.fiber(getattr(fiber, neighbour)):
            passed.add(fiber.address)
            fiber = self.fiber(getattr(fiber, neighbour))
        return fiber

    def outermost(self, fiber):
        return self.last(fiber, "outer")

    def innermost(self, fiber):
        return self.last(fiber, "inner")

    def thread(self, fiber):
        """The thread that runs this very fiber, not one it has resumed: its label, or None."""
        for label, sp in self.target.stack_pointers().items():
            if fiber.lowest <= sp < fiber.details:
                return label
        return None

    def state(self, fiber, of_threads=True):
        root = self.outermost(fiber)
        if fiber.progress & ENDED:
            return "done"
        if fiber.state & SUSPENDED:
            return "suspended" if fiber.progress & BEGUN else "not begun"
        if fiber.state & SET_ASIDE:
            return "waits as a fiber_context"
        if root.state & SUSPENDED:
            return f"suspended with {root.address:#x}"
        thread = of_threads and self.thread(self.innermost(fiber))
        inner = f", has resumed {fiber.inner:#x}" if fiber.inner else ""
        return (f"running on thread {thread}" if thread else "running") + inner

    def registers(self, fiber):
        """Where it will go on: sp, pc, frame and base register; None if it runs, has not begun or has ended."""
        root = self.outermost(fiber)
        if fiber.inner:
            return self.saved(fiber.inner, "resumer")
        if root.state & SUSPENDED and root.progress & BEGUN:
            return self.saved(root.address, "fiber")
        return None

    def saved(self, record, whose):
        if not self.layout["own_switch"]:
            raise Problem("weft: this library runs on Boost.Context's switch (WEFT_SWITCH=fcontext): its fibers are "
                          "listed, but what it saves of them is Boost's own and not read here")
        at = lambda member: self.number(record + self.layout[member])
        pc, of_fiber = at("pc"), whose == "fiber"
        resumable, suspendable = (1 << self.layout[tag] for tag in ("resumable", "suspendable"))
        if not self.layout["inverted"]:  # without a bit that the switch has not left there
            pc &= ~(resumable if of_fiber else suspendable)
        elif of_fiber:
            pc = ~(pc | resumable | suspendable) % 2**64
        else:
            pc &= ~(resumable | suspendable)
        return {"sp": at("sp"), "pc": self.target.code(pc), "frame": at(whose + "_frame"), "base": at(whose + "_base")}

    # Coroutines. A frame begins with the addresses of two functions, the first of which resumes the coroutine. Behind
    # them lies the promise, whose first word in a weft::task is the frame of the coroutine that awaits it.

    def coroutine(self, frame):
        """The coroutine's name if there is a frame at this address, else None."""
        name = frame and self.target.function(self.number(frame))
        if not name or not RESUMES.search(name):
            return None
        if "weft::detail::drive<" in name:
            arguments = template_arguments(name, "weft::detail::drive<")
            return f"weft::stackful<{arguments[0]}>({arguments[4]})"
        name = RESUMES.sub("", name)
        if not re.search(r"Frame ?\*\)$", name):
            return name
        depth, begin = 0, len(name)  # GCC's function takes a pointer to a type "name(parameters)::_Z...Frame"
        while begin and (depth or begin == len(name)):
            begin -= 1
            depth += {")": 1, "(": -1}.get(name[begin], 0)
        return name[begin + 1:].split("::_Z")[0]

    def driver_frame(self, fiber):
        """The frame of the coroutine with this stackful body: the nearest one below its `driver`, a local of it."""
        if not fiber.driver or self.number(fiber.driver + self.layout["driver_body"]) != fiber.address:
            return None
        for end in range(fiber.driver, fiber.driver - 65536, -512):
            words = struct.unpack("<64Q", self.memory(end - 512, 512))
            for i in reversed(range(64)):
                name = words[i] and self.target.function(words[i])
                if name and "weft::detail::drive<" in name and self.coroutine(end - 512 + 8 * i):
                    return end - 512 + 8 * i
        return None

    def body_of(self, frame):
        """The fiber that the coroutine at `frame` drives, if it does."""
        if self.drivers is None:
            self.drivers = {self.driver_frame(f): f for f in self.fibers() if f.driver}
        return self.drivers.get(frame)

    def path(self, fiber):
        """From a fiber outwards: ("fiber", one that the former was resumed in, or awaited in), ("thread", the fiber
        that it has resumed), ("driver", frame of the coroutine with this body), ("awaiting", of one that awaits it)."""
        if self.outermost(fiber).state & SUSPENDED:
            fiber = self.innermost(fiber)
        passed = set()
        while fiber and fiber.address not in passed:
            passed.add(fiber.address)
            yield "fiber", fiber
            if self.fiber(fiber.outer):
                fiber = self.fiber(fiber.outer)
                continue
            if not fiber.progress & ENDED and not fiber.state & (SUSPENDED | SET_ASIDE):
                yield "thread", fiber
            frame, fiber = self.driver_frame(fiber), None
            if frame in passed:  # it awaited what came before
                frame = self.number(frame + 16)
            elif frame:
                passed.add(frame)
                yield "driver", frame
                frame = self.number(frame + 16)
            while frame and frame not in passed and self.coroutine(frame) and not fiber:
                passed.add(frame)
                yield "awaiting", frame
                fiber = self.body_of(frame)
                if fiber and fiber.address in passed:
                    fiber = None
                frame = self.number(frame + 16)

    def describe(self, fiber, of_threads=True):
        name = f' "{fiber.name}"' if fiber.name else ""
        return f"{fiber.address:#x}{name}, {self.state(fiber, of_threads)}"


def template_arguments(name, before):
    """What stands in the angle brackets that `before` ends with."""
    depth, arguments, text = 0, [], ""
    for i, character in enumerate(name[name.index(before) + len(before):]):
        after = name[name.index(before) + len(before) + i - 1]
        if character in ">)}]" and not (character == ">" and after == "-"):
            depth -= 1
        if depth < 0:
            break
        if character in "<({[":
            depth += 1
        if character == "," and depth == 0:
            arguments.append(text.strip())
            text = ""
        else:
            text += character
    return arguments + [text.strip()] + [""] * 5


def listing(program, fibers, where):
    """The text of the list; where(fiber) says where it is."""
    yield "Num  Fiber           Stack                          Name, state, where"
    for number, fiber in enumerate(fibers, 1):
        name = f'"{fiber.name}" ' if fiber.name else ""
        place = where(fiber)
        yield (f"{number:<4} {fiber.address:#x}  {fiber.lowest:#x}-{fiber.details:#x}  {name}{program.state(fiber)}" +
               (f" in {place}" if place else ""))


def backtrace(program, fiber, frames, resumer_frames):
    """The text of a backtrace: frames(fiber) and resumer_frames(fiber) are lists of lines."""
    before = None
    for kind, what in program.path(fiber):
        if kind == "fiber":
            said = {None: "Fiber", "fiber": "resumed in fiber"}.get(before, "awaited in fiber")
            yield f"{said} {program.describe(what)}:"
            yield from frames(what)
        elif kind == "thread":
            yield "resumed in:"
            yield from resumer_frames(what)
        else:
            yield f"{'driven' if kind == 'driver' else 'awaited'} by coroutine {what:#x} {program.coroutine(what)}"
        before = kind


try:
    import gdb
    import gdb.printing
    import gdb.types
    import gdb.unwinder
except ImportError:
    gdb = None

if gdb:
    class GdbTarget:
        """What Program asks of a debugger."""

        def __init__(self):
            self.names = {}
            self.pointers = None
            architecture = gdb.selected_inferior().architecture().name()
            self.arm = architecture.startswith("aarch64")
            self.registers = dict(zip(("sp", "pc", "frame", "base"),
                                      ("sp", "pc", "x29", "x19") if self.arm else ("rsp", "rip", "rbp", "rbx")))

        def symbol(self, name):
            try:
                return int(gdb.parse_and_eval(f"(unsigned long)&{name}"))
            except gdb.error:
                return None

        def read(self, address, size):
            try:
                return bytes(gdb.selected_inferior().read_memory(address, size))
            except gdb.error:
                return None

        def function(self, address):
            """The name of the function that begins at this address, or None."""
            if address not in self.names:
                said = gdb.execute(f"info symbol {address:#x}", to_string=True)
                match = re.match(r"(.*?)( \+ \d+)? in section ", said)
                self.names[address] = match[1] if match and not match[2] else None
            return self.names[address]

        def code(self, pc):
            """Without the signature that it may have on AArch64."""
            return pc & ((1 << 48) - 1) if self.arm else pc

        def stack_pointers(self):
            if self.pointers is None:
                self.pointers = {}
                with selected(gdb.selected_thread()):
                    for thread in gdb.selected_inferior().threads():
                        thread.switch()
                        self.pointers[thread.num] = int(gdb.newest_frame().read_register(self.registers["sp"]))
            return self.pointers

    class selected:
        """Goes back to this thread and its selected frame in the end."""

        def __init__(self, thread):
            self.thread = thread
            self.level = gdb.selected_frame().level()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.thread.switch()
            if self.level:
                gdb.execute(f"frame {self.level}", to_string=True)

    class Context(gdb.unwinder.Unwinder):
        """While it is open, the caller of the selected thread's innermost frame is the given context: no register of
        the program is written."""

        class Id:
            def __init__(self, sp, pc):
                self.sp, self.pc = sp, pc

        def __init__(self):
            super().__init__("weft")
            self.enabled = False

        def open(self, registers, names):
            newest = gdb.newest_frame()
            self.names = names
            self.registers = registers
            self.place = [int(newest.read_register(names[r])) for r in ("sp", "pc")]
            self.enabled = True
            gdb.invalidate_cached_frames()
            return gdb.newest_frame().older()

        def close(self):
            self.enabled = False
            gdb.invalidate_cached_frames()

        def __call__(self, pending):
            if [int(pending.read_register(self.names[r])) for r in ("sp", "pc")] != self.place:
                return None
            # The identity of the frame left: a stack pointer not above the context's, or gdb finds the stack broken.
            info = pending.create_unwind_info(self.Id(gdb.Value(self.registers["sp"]), gdb.Value(self.registers["pc"])))
            for name, value in self.registers.items():
                kind = pending.read_register(self.names[name]).type
                info.add_saved_register(self.names[name], gdb.Value(value).cast(kind))
            return info

    CONTEXT = Context()
    gdb.unwinder.register_unwinder(None, CONTEXT, replace=True)

    def frame_line(number, frame):
        arguments = []
        try:
            block = frame.block()
            while not block.function:
                block = block.superblock
            arguments = [f"{s.print_name}={s.value(frame).format_string(summary=True, max_depth=0)}"
                         for s in block if s.is_argument]
        except (RuntimeError, AttributeError, gdb.error):
            pass
        sal = frame.find_sal()
        place = f" at {sal.symtab.filename}:{sal.line}" if sal.symtab else ""
        return f"#{number:<3} {frame.pc():#018x} in {frame.name() or '??'} ({', '.join(arguments)}){place}"

    def file_of(frame):
        symtab = frame.find_sal().symtab
        return symtab and symtab.filename

    def lines(frame):
        """Of this frame and its callers, to the fiber's entry."""
        result = []
        while frame and frame.is_valid() and frame.name() not in ENTRIES and len(result) < 1000:
            result.append("  " + frame_line(len(result), frame))
            frame = frame.older()
        return result

    class Session(Program):
        """For the time of one command."""

        def __init__(self):
            if not gdb.selected_thread():
                raise Problem("weft: there is no process: run the program or open a core file")
            super().__init__(GdbTarget())
            self.places = {}

        def within(self, registers, use):
            try:
                return use(CONTEXT.open(registers, self.target.registers))
            finally:
                CONTEXT.close()

        def frames(self, fiber):
            registers = self.registers(fiber)
            if registers:
                return self.within(registers, lines)
            thread = self.thread(fiber)
            with selected(gdb.selected_thread()):
                for t in gdb.selected_inferior().threads():
                    if t.num == thread:
                        t.switch()
                        return lines(gdb.newest_frame())
            return []

        def resumer_frames(self, fiber):
            return self.within(self.saved(fiber.address, "resumer"), lines)

        def where(self, fiber):
            """The innermost function that is not weft's own."""
            registers = self.layout["own_switch"] and self.registers(fiber)
            if not registers:
                return ""

            def find(frame):
                first = frame
                while frame and internal(frame.name(), file_of(frame)) and frame.older() and frame.older().name():
                    frame = frame.older()
                frame = frame or first
                if not frame:
                    return "??", True
                sal = frame.find_sal()
                at = f" at {sal.symtab.filename}:{sal.line}" if sal.symtab else ""
                return f"{frame.name() or '??'} (){at}", frame.pc() == first.pc()
            place = self.places.get(registers["pc"])
            if not place:
                place, constant = self.within(registers, find)
                if constant:
                    self.places[registers["pc"]] = place
            return place

    class Command(gdb.Command):
        numbered = []  # the fibers of the last list

        def __init__(self, name):
            super().__init__(name, gdb.COMMAND_STACK)

        def invoke(self, argument, _):
            try:
                session = Session()
                with selected(gdb.selected_thread()):
                    for line in self.run(session, argument.strip()):
                        gdb.write(line + "\n")
            except Problem as problem:
                raise gdb.GdbError(str(problem)) from None

    class InfoFibers(Command):
        """List the fibers of weft."""

        def run(self, session, argument):
            if argument:
                raise Problem("info weft-fibers takes no argument")
            fibers = session.fibers()
            Command.numbered = [f.address for f in fibers]
            return listing(session, fibers, session.where)

    class Backtrace(Command):
        """weft-backtrace FIBER|all: where a fiber is, who resumed it, which coroutine drives it, and who awaits that.
FIBER is a number of the last `info weft-fibers`, an address, or an expression of type weft::fiber or fiber_ref."""

        def run(self, session, argument):
            if not argument:
                raise Problem("weft-backtrace takes a fiber or `all`: see info weft-fibers")
            fibers = session.fibers() if argument == "all" else [self.named(session, argument)]
            for fiber in fibers:
                yield from backtrace(session, fiber, session.frames, session.resumer_frames)

        def named(self, session, argument):
            try:
                address = record_of(gdb.parse_and_eval(argument))
            except gdb.error as error:
                raise Problem(f"weft: {error}") from None
            if 0 < address <= len(Command.numbered):
                address = Command.numbered[address - 1]
            fiber = session.fiber(address)
            if not fiber:
                raise Problem(f"weft: there is no fiber at {address:#x}: see info weft-fibers")
            return fiber

    def record_of(value):
        """The address of the fiber_record that a value of one of weft's types, a pointer or a number names."""
        kind = value.type.strip_typedefs()
        to_struct = kind.code == gdb.TYPE_CODE_PTR and kind.target().strip_typedefs().code == gdb.TYPE_CODE_STRUCT
        if to_struct or kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            value = value.referenced_value()
            kind = value.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_STRUCT:
            for member in ("record_", "fiber_", "fiber"):
                if gdb.types.has_field(kind, member):
                    return record_of(value[member])
            return int(value.address or 0)
        return int(value)

    def type_name(value):
        kind = value.type
        if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            kind = kind.target()
        return str(kind.strip_typedefs().unqualified())

    class FiberPrinter:
        def __init__(self, value):
            self.value = value

        def to_string(self):
            kind = type_name(self.value)
            try:
                address = record_of(self.value)
                session = Session()
                fiber = session.fiber(address)
                empty = address in (0, session.slabs["none"])
                return f"{kind}: {session.describe(fiber, False)}" if fiber else f"{kind}: empty" if empty else \
                    f"{kind}: {address:#x}, no live fiber"
            except (Problem, gdb.error):
                return kind

    class StackPrinter:
        def __init__(self, value):
            self.size, self.top = int(value["size"]), int(value["sp"])

        def to_string(self):
            return f"weft::stack: {self.size} bytes, {self.top - self.size:#x}-{self.top:#x}"

    class TaskPrinter:
        def __init__(self, value):
            self.value = value

        def to_string(self):
            kind = type_name(self.value)
            frame = int(self.value["handle_"]["_M_fr_ptr"])
            try:
                session = Session()
                name = session.coroutine(frame) or ("" if session.number(frame) else "has ended")
                return f"{kind}: {frame:#x} {name}" if frame else f"{kind}: empty"
            except Problem:
                return f"{kind}: {frame:#x}"

    def printers():
        collection = gdb.printing.RegexpCollectionPrettyPrinter("weft")
        collection.add_printer("fiber", r"^weft::(fiber|fiber_ref|generator<.*>)$", FiberPrinter)
        collection.add_printer("stack", r"^weft::stack$", StackPrinter)
        collection.add_printer("task", r"^weft::task<.*>$", TaskPrinter)
        return collection

    gdb.printing.register_pretty_printer(gdb.current_objfile(), printers(), replace=True)
    InfoFibers("info weft-fibers")
    Backtrace("weft-backtrace")
