# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""hwaddress.py FOLDER --clang CLANG++ --runtime FOLDER [--jobs N] --emulator COMMAND...

HWAddressSanitizer on 64-bit Arm: compiles `clean` and `planted` (see CMakeLists.txt) with the library's sources, runs them,
under emulation unless this is such a machine, and reads what they say. The runtime's folder is the one that contains
libclang_rt.hwasan-aarch64.a."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSROOT = "/usr/aarch64-linux-gnu"
FOUND = r"HWAddressSanitizer: tag-mismatch on address .*\n(?:.*\n)*?.*"
PLANTED = {
    "use_after_return": FOUND + "use_after_return",
    "use_after_return_from_outside": FOUND + "use_after_return_from_outside",
    "use_after_return_across_an_await": FOUND + "use_after_return_across_an_await",
    "overflow": FOUND + "overflow",
    "tagged_stack": "weft: HWAddressSanitizer has tagged this stack: .*mmap",
}


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=600, errors="replace")
    if check and done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout}")
    return done


def resources(clang, runtime, folder):
    """Clang looks for its headers and its runtime in one folder."""
    own = pathlib.Path(run(clang, "-print-resource-dir").stdout.strip())
    libraries = folder / "resources/lib/linux"
    libraries.mkdir(parents=True, exist_ok=True)
    places = {folder / "resources" / name: own / name for name in ("include", "share")}
    places |= {libraries / file.name: file for file in runtime.glob("*hwasan*aarch64*")}
    for link, target in places.items():
        link.unlink(missing_ok=True)
        link.symlink_to(target.resolve())
    return folder / "resources"


def programs(clang, resource_folder, folder, jobs):
    flags = ["--target=aarch64-linux-gnu", f"-resource-dir={resource_folder}", "-fsanitize=hwaddress", "-O1", "-g1", "-UNDEBUG",
             "-DWEFT_CHECKS_CONTEXTS=1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror"]
    sources = [source for room in ("bridge", "debug", "fiber", "stack", "switch", "thread") for source in sorted((ROOT / "lib" / room).glob("*.cpp"))
               if source.name != "fcontext.cpp"] + [ROOT / "lib/switch/aarch64.S", ROOT / "lib/switch/thread_state.S"]
    sources += [ROOT / f"test/sanitizers/{name}.cpp" for name in ("clean", "planted")]

    def compiled(source):
        target = folder / f"{source.parent.name}_{source.name}.o"
        language = ["-std=c++20"] if source.suffix == ".cpp" else []
        run(clang, *flags, *language, "-I", ROOT / "include", "-c", source, "-o", target)
        return target

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(compiled, sources))
    for program in objects[-2:]:  # by lld: other linkers do not know the relocations of tagged globals
        target = folder / program.name.split("_")[1].split(".")[0]
        run(clang, *flags, "-fuse-ld=lld", program, *objects[:-2], "-o", target)
        yield target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--clang", required=True)
    parser.add_argument("--runtime", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--emulator", nargs=argparse.REMAINDER, default=[])
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    clean, planted = programs(arguments.clang, resources(arguments.clang, arguments.runtime, folder), folder,
                              arguments.jobs)
    emulator = [*arguments.emulator, "-L", SYSROOT] if arguments.emulator else []

    passed = 0
    done = run(*emulator, clean, check=False)
    right = done.returncode == 0 and done.stdout == ""
    print(f"{'' if right else 'FAILED '}hwaddress.clean: ended with {done.returncode}" + ("" if right else f":\n{done.stdout}"))
    passed += right
    for error, expected in PLANTED.items():
        done = run(*emulator, planted, error, check=False)
        right = done.returncode != 0 and re.search(expected, done.stdout)
        print(f"{'' if right else 'FAILED '}hwaddress.{error}: {'found' if right else done.stdout}")
        passed += bool(right)
    total = 1 + len(PLANTED)
    print(f"hwaddress -O1, 64-bit Arm: {passed} of {total} tests passed")
    sys.exit(passed != total)


if __name__ == "__main__":
    main()
