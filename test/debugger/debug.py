# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""debug.py PROGRAM [option...] [--emulator COMMAND...]

Lets gdb look at the fibers of PROGRAM (see in_gdb.py): in a process, here or on the stub of an emulator, or in a
core file. Or lldb, see in_lldb.py."""

import argparse
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


def run(command, environment, timeout=150):
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return 1, output + f"\nWRONG: no end after {timeout} s"


def stub(emulator, program, socket):
    process = subprocess.Popen([*emulator, "-g", socket, program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not os.path.exists(socket):
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            process.wait()
            raise SystemExit("the emulator does not open its stub")
        time.sleep(0.01)
    return process


def core_of(program, folder):
    """A core file of the program, written by the system, or None where that is set up otherwise."""
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if "/" in pattern or pattern.startswith("|"):
        return None
    subprocess.run([program, "abort"], cwd=folder, check=False, timeout=60, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)))
    files = [f for f in pathlib.Path(folder).iterdir() if f.name != os.path.basename(program)]
    return str(files[0]) if files else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--lldb", help="use this lldb instead of gdb")
    parser.add_argument("--script", help="lib/gdb/weft.py to source; without it gdb must find it by itself")
    parser.add_argument("--core", action="store_true", help="look at a core file instead of a process")
    parser.add_argument("--many", action="store_true", help="look at thousands of fibers")
    parser.add_argument("--strip", metavar="OBJCOPY", help="remove the debug information with it first")
    parser.add_argument("--boost", action="store_true", help="the program runs on Boost.Context's switch")
    parser.add_argument("--emulator", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    script = pathlib.Path(__file__).with_name("in_gdb.py")
    with tempfile.TemporaryDirectory(prefix="weft-debugger") as folder:
        program = os.path.realpath(arguments.program)
        if arguments.strip:
            program = shutil.copy(program, folder)
            subprocess.run([arguments.strip, "--strip-debug", "--keep-section=.debug_gdb_scripts", program], check=True)
        environment = dict(os.environ, LC_ALL="C", WEFT_DEBUG_INFO="0" if arguments.strip else "1",
                           WEFT_BOOST="1" if arguments.boost else "0", WEFT_MANY="1" if arguments.many else "0")
        if arguments.script:
            environment["WEFT_SCRIPT"] = arguments.script
        if arguments.core:
            environment["WEFT_CORE"] = core_of(program, folder) or ""
            if not environment["WEFT_CORE"]:
                print("left out: the system hands core files to another program, or writes none")
                return SKIPPED
        command = [arguments.gdb, "--batch", "-nx"]
        if not arguments.script:
            command += ["-iex", "set auto-load safe-path /"]
        command += ["-x", str(script), program]
        if arguments.lldb:
            environment["WEFT_PROGRAM"] = program
            command = [arguments.lldb, "--no-lldbinit", "--batch", "-o",
                       f"command script import {script.with_name('in_lldb.py')}"]
        emulated = None
        if arguments.emulator:
            environment["WEFT_STUB"] = os.path.join(folder, "stub")
            emulated = stub(arguments.emulator, program, environment["WEFT_STUB"])
        try:
            code, output = run(command, environment)
        finally:
            if emulated:
                emulated.kill()
                emulated.wait()
        print(output)
        if arguments.lldb and "ok" not in output.splitlines():
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
