# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""step.py PROGRAM [--gdb GDB] [--script FILE] [--signed] [--emulator COMMAND...]

Lets gdb step through the switches of PROGRAM (see step_in_gdb.py), or through what another script looks at, here or on the
stub of an emulator."""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

SECONDS = 150
SCRIPT = pathlib.Path(__file__).with_name("step_in_gdb.py")


def signed_ranges(program, readelf="readelf"):
    """Where the call frame information of the program says that the return address is signed: lines "first last"."""
    dump = subprocess.run([readelf, "--debug-dump=frames", "--wide", str(program)], capture_output=True, text=True,
                          check=True, env=dict(os.environ, LC_ALL="C")).stdout
    ranges, place, end, signed, kept = [], 0, 0, False, []

    def upto(address):
        if signed and address > place:
            ranges.append(f"{place:x} {address:x}\n")

    for line in dump.splitlines():
        if match := re.search(r" FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)", line):
            upto(end)
            place, end, signed, kept = int(match[1], 16), int(match[2], 16), False, []
        elif match := re.search(r"DW_CFA_advance_loc.* to ([0-9a-f]+)", line):
            upto(int(match[1], 16))
            place = int(match[1], 16)
        elif "DW_CFA_AARCH64_negate_ra_state" in line:
            signed = not signed
        elif "DW_CFA_remember_state" in line:
            kept.append(signed)
        elif "DW_CFA_restore_state" in line:
            signed = kept.pop()
    upto(end)
    return ranges


def step(program, gdb, emulator=(), signed=False, timeout=SECONDS, script=SCRIPT):
    """(gdb's exit code, what it said)"""
    environment = dict(os.environ, LC_ALL="C")
    command = [gdb, "--batch", "-nx", "-x", str(script), str(program)]
    with tempfile.TemporaryDirectory(prefix="weft-step") as folder:
        if signed:
            environment["WEFT_SIGNED"] = os.path.join(folder, "signed")
            pathlib.Path(environment["WEFT_SIGNED"]).write_text("".join(signed_ranges(program)), encoding="ascii")
        stub = None
        if emulator:
            socket = os.path.join(folder, "stub")
            environment["WEFT_STUB"] = socket
            stub = subprocess.Popen([*emulator, "-g", socket, str(program)], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 20
            while not os.path.exists(socket):
                if time.monotonic() > until or stub.poll() is not None:
                    stub.kill()
                    return 1, "the emulator does not open its stub"
                time.sleep(0.01)
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=timeout)
            if process.returncode == 0 and "right everywhere" not in output:  # gdb goes on when its script is at fault
                return 1, output + "\nWRONG: the script did not come to its end"
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return 1, output + f"\nWRONG: no end after {timeout} s"
        finally:
            if stub:
                stub.kill()
                stub.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--script", default=SCRIPT)
    parser.add_argument("--signed", action="store_true", help="the program signs return addresses, and they stay signed")
    parser.add_argument("--emulator", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    code, output = step(arguments.program, arguments.gdb, arguments.emulator, arguments.signed, script=arguments.script)
    print(output)
    return code


if __name__ == "__main__":
    sys.exit(main())
