# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Run by gdb, see debug.py: looks at the fibers of fibers.cpp with the commands of lib/gdb/weft.py, in a process or in
a core file. Says WRONG where something is not as it must be."""

import os
import pathlib
import re
import struct
import sys

import gdb

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import checks
from checks import check, check_backtrace, fibers

CORE, STUB, SCRIPT = (os.environ.get("WEFT_" + name) for name in ("CORE", "STUB", "SCRIPT"))
DEBUG_INFO = os.environ.get("WEFT_DEBUG_INFO") == "1"
BOOST = os.environ.get("WEFT_BOOST") == "1"
MANY = os.environ.get("WEFT_MANY") == "1"


def told(command):
    try:
        return gdb.execute(command, to_string=True)
    except gdb.error as error:
        return f"error: {error}"


def check_from_main():
    names = sorted(fibers())
    left = ["", "ended", "fresh", "guarded", "inner", "large", "outer", "parked"]
    check(names == sorted([*left, "first", "inner body", "outer body"]), f"left: {names}")
    if DEBUG_INFO:
        for argument, expected in (
                ("parked", r'weft::fiber: 0x\w+ "parked", suspended'), ("empty", "weft::fiber: empty"),
                ("numbers", r"weft::generator<int>: 0x\w+, not begun"),
                ("memory", "weft::stack: 4096 bytes, 0xf000-0x10000"),
                ("root", r"weft::task<void>: 0x\w+ at_the_root\(.*event&\)")):
            printed = told(f"print {argument}")
            check(re.search(expected, printed), f"{argument} is printed as {printed}")
        for expression in ("parked", "&parked", "parked.record_", "(unsigned long)parked.record_"):
            check_backtrace(expression, ["of parked", "parks_here", "calls_parks"])
        check("No symbol" in told("weft-backtrace nonsense"), "an expression that is none")
    gdb.execute("continue", to_string=True)
    names = sorted(fibers())
    check(names == left, f"left in the end: {names}")
    if DEBUG_INFO:
        check("weft::task<void>: empty" in told("print root"), told("print root"))


def check_boost():
    found = fibers()
    check(len(found.get("crowd", [])) == 200 and len(found.get("parked", [])) == 1, f"listed: {sorted(found)}")
    check("gone" not in found, "a destroyed one is not listed")
    check("Boost.Context's switch" in told(f"weft-backtrace {found['parked'][0][0]}"), "the sentence about it")


def check_many():
    """Thousands in several slabs; then with overwritten memory."""
    memory = gdb.selected_inferior()

    def number(address, kind="Q"):
        return struct.unpack(kind, memory.read_memory(address, struct.calcsize(kind)))[0]

    def count():
        return sum(map(len, fibers().values()))

    check(count() == 9000, f"of 9000: {count()}")
    table = int(gdb.parse_and_eval("(unsigned long)&weft_debugger_records"))
    with_room, full, _, next_, begun, record_size = (number(table + 8 * i) for i in range(6))
    first, last = number(full), number(number(full) + next_)
    check(number(last + next_) == 0, "two slabs are full")
    slab = number(last + begun)
    table = int(gdb.parse_and_eval("(unsigned long)&weft_debugger_layout"))
    details, stack_size, inner, outer, operations = (number(table + 4 * i, "I") for i in (2, 6, 7, 8, 10))
    records = [first + record_size * (i + 1) for i in range(2)]
    contents = [number(record + details) for record in records]

    for left, *overwritten in (
            (9000, (last + next_, first)), (9000, (last + next_, 8)), (9000 - slab, (first + next_, 8)),
            (9000 - slab, (last + begun, 1 << 63)), (9000 - slab, (last + begun, 1 << 40)),
            (2 * slab, (with_room, 8)), (2 * slab, (with_room, (1 << 64) - 8)),
            (8999, (records[0] + details, 8)), (8999, (records[0] + details, (1 << 64) - 64)),
            (8999, (contents[0] + stack_size, 64)), (8999, (contents[0] + operations, 0)),
            (9000, (contents[0] + inner, records[1]), (contents[1] + inner, records[0])),
            (9000, (contents[0] + outer, records[1]), (contents[1] + outer, records[0]))):
        before = [(address, memory.read_memory(address, 8)) for address, _ in overwritten]
        for address, value in overwritten:
            memory.write_memory(address, struct.pack("Q", value))
        found = count()
        check(found == left, f"with {[hex(value) for _, value in overwritten]} written: {found}, not {left}")
        check("Traceback" not in told(f"weft-backtrace {records[0]:#x}"), "a backtrace of what was overwritten")
        for address, value in before:
            memory.write_memory(address, value)

    gdb.execute("continue", to_string=True)
    check(count() == 8100, f"of 8100: {count()}")
    gdb.execute("continue", to_string=True)


def main():
    for setting in ("pagination off", "confirm off", "debuginfod enabled off", "width 0", "print thread-events off"):
        gdb.execute(f"set {setting}")
    if SCRIPT:
        check("Undefined info command" in told("info weft-fibers"), "nothing is loaded yet")
        gdb.execute(f"source {SCRIPT}")
        check("there is no process" in told("info weft-fibers") or STUB, "before the start")
    if CORE:
        gdb.execute(f"core-file {CORE}", to_string=True)
        checks.check_all(DEBUG_INFO, ("thread 2", "frame 1"), ("thread", "frame", "info registers"))
        return
    gdb.execute("break look_here", to_string=True)
    gdb.execute("break look_from_main", to_string=True)
    if STUB:
        gdb.execute(f"target remote {STUB}", to_string=True)
        gdb.execute("continue", to_string=True)
    else:
        gdb.execute("run many" if MANY else "run", to_string=True)
    if MANY:
        check_many()
        return
    if BOOST:
        check_boost()
        gdb.execute("kill")
        return
    checks.check_all(DEBUG_INFO, ("thread 2", "frame 1"), ("thread", "frame", "info registers"))
    gdb.execute("thread 1", to_string=True)
    gdb.execute("continue", to_string=True)
    check_from_main()
    gdb.execute("continue", to_string=True)
    if not STUB:
        check(int(gdb.parse_and_eval("$_exitcode")) == 0, "the program ends well")


checks.told, checks.LIST = told, "info weft-fibers"
try:
    main()
except gdb.error as error:
    check(False, f"gdb: {error}")
print(f"{checks.wrong} wrong" if checks.wrong else "ok")
gdb.execute(f"quit {1 if checks.wrong else 0}")
