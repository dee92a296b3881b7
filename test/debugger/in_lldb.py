# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""in_lldb.py PROGRAM|CORE: run by lldb, see debug.py; as in_gdb.py, with the commands of lib/gdb/weft_lldb.py."""

import os
import pathlib
import sys

import lldb

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import checks
from checks import check


def told(command):
    result = lldb.SBCommandReturnObject()
    lldb.debugger.GetCommandInterpreter().HandleCommand(command, result)
    return (result.GetOutput() or "") + (result.GetError() or "")


def main():
    settings = ("PROGRAM", "CORE", "SCRIPT", "DEBUG_INFO")
    program, core, script, debug_info = (os.environ.get("WEFT_" + name) for name in settings)
    lldb.debugger.SetAsync(False)
    told(f"command script import {script}")
    check("there is no process" in told("weft-fibers"), "before the start")
    told(f"target create {program}" + (f" --core {core}" if core else ""))
    if not core:
        told("breakpoint set --name look_here")
        told("process launch")
    # what is inlined into the innermost function is not always told apart
    checks.check_all(debug_info == "1", ("thread select 2", "frame select 1"),
                     ("thread list", "frame info", "register read"), place=r" at .*\.[ch]pp:\d+")
    if not core:
        if debug_info == "1":
            told("breakpoint set --name look_from_main")
            told("process continue")
            for expression in ("parked", "&parked", "parked.record_"):
                checks.check_backtrace(expression, ["of parked", "parks_here", "calls_parks"])
        told("process kill")


def __lldb_init_module(_, __):
    checks.told, checks.LIST = told, "weft-fibers"
    main()
    print(f"{checks.wrong} wrong" if checks.wrong else "ok")
