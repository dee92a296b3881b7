# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Run by gdb, see step.py. Tells a program at its start that the processor keeps a shadow stack, by the register that the
processor would say it in: it must be refused before main. Told nothing, it must run."""

import os
import re

import gdb

# the question, the register of the answer, the answer "yes"
QUESTIONS = {"i386:x86-64": (r"\brdsspq\b", "rsp"), "aarch64": (r"\bchkfeat\b|\bhint\s+#0x28", "x16")}


def instruction():
    frame = gdb.newest_frame()
    return frame.architecture().disassemble(frame.pc())[0]["asm"]


def answer(yes):
    architecture = gdb.newest_frame().architecture().name()
    question, register = QUESTIONS[architecture]
    for _ in range(12):
        asked = instruction()
        gdb.execute("stepi", to_string=True)
        if re.search(question, asked):
            break
    else:
        raise RuntimeError("nobody asks for a shadow stack")
    if architecture == "i386:x86-64":
        register = re.search(r"%(\w+)", asked)[1]
    if yes:
        gdb.execute(f"set ${register} = {0 if register == 'x16' else gdb.parse_and_eval('$rsp')}")


def ends(yes):
    """Where it goes on from the question: "abort" or "main"."""
    gdb.execute("tbreak *main", to_string=True)  # not behind what gdb takes for its prologue
    gdb.execute("tbreak *abort", to_string=True)
    answer(yes)
    gdb.execute("continue", to_string=True)
    return gdb.newest_frame().name()


def main():
    for setting in ("pagination off", "confirm off", "breakpoint pending on", "suppress-cli-notifications on"):
        gdb.execute(f"set {setting}")
    yes = os.environ["WEFT_SHADOW_STACK"] == "yes"
    gdb.execute("tbreak *weft_refuse_shadow_stack", to_string=True)
    if "WEFT_STUB" in os.environ:
        gdb.execute(f"target remote {os.environ['WEFT_STUB']}", to_string=True)
        gdb.execute("continue", to_string=True)
    else:
        gdb.execute("run", to_string=True)
    if gdb.newest_frame().pc() != int(gdb.parse_and_eval("(long) &weft_refuse_shadow_stack")):
        raise RuntimeError(f"stopped in {gdb.newest_frame().name()}")
    end = ends(yes)
    if end not in (("abort", "__GI_abort") if yes else ("main",)):
        raise RuntimeError(f"goes on to {end}")
    print("right everywhere")


result = 1
try:
    main()
    result = 0
except Exception as problem:  # gdb's own and ours alike
    print(f"WRONG: {type(problem).__name__}: {problem}")
gdb.execute("kill", to_string=True)
gdb.execute(f"quit {result}")
