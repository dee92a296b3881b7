# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""linkers.py FOLDER --compiler COMMAND --library LIBWEFT.A --include FOLDER [--emulator COMMAND]

Is the state of a thread reached from wherever it lies, with every linker of this machine? Links programs with as many copies of
the state, one behind the other, as there are places for it in a page of thread-local storage: as code of a program, of a
shared library and of a loaded one, where the storage that exists when a program starts has been used up, too. Each way
of reaching a copy (reach.cpp, lib/switch/thread_state.S) must find what the compiler's own way finds, on two threads.
Then a whole program (whole.cpp), linked with the library. A linker that is not installed is left out, with a word."""

import argparse
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "test/linking"
COPIES = 512  # of 48 bytes: half of them at every multiple of 16 below 4096, as 3 and 256 have no common divisor, and half
# of them, behind a word of their own, at every other multiple of 8
NAMES = ("weft_thread_state", "weft_this_thread", "by_address", "current", "idle_sentinel", "set_current")

CHECKS = """
#include <pthread.h>
#include <stdio.h>
#include <string.h>
struct copy {{ char* (*of_compiler)(void); void* (*by_function)(void); void* (*by_address)(void);
               void* (*current)(void); void* (*idle_sentinel)(void); void (*set_current)(void*); }};
{declarations}
static const struct copy copies[] = {{
{table}
}};
static unsigned wrong, offsets;
static void* check(void* first) {{
    for (unsigned i = 0; i < sizeof copies / sizeof *copies; ++i) {{
        const struct copy* c = copies + i;
        char* const state = c->of_compiler();
        void *words[2], *now;
        memcpy(words, state, sizeof words);
        int right = c->by_function() == state && c->by_address() == state;
        right = right && words[0] && c->current() == words[0] && c->idle_sentinel() == words[1];
        words[1] = state + 1;
        memcpy(state + sizeof now, words + 1, sizeof now); // apart: words[0] is the same on each thread
        if (right) {{
            c->set_current(state);
            memcpy(&now, state, sizeof now);
            right = now == state && c->current() == state && c->idle_sentinel() == state + 1;
        }}
        wrong += !right;
        if (first) offsets |= 1U << ((unsigned long)state % 4096 / 8 % 32);
    }}
    return 0;
}}
__attribute__((visibility("default"))) int check_all(void) {{
    check(&wrong);
    {thread}
    if (wrong) printf("%u of %u were not found\\n", wrong, (unsigned)(2 * sizeof copies / sizeof *copies));
    return wrong != 0 || offsets != ~0U;
}}
"""
THREAD = "pthread_t thread; if (pthread_create(&thread, 0, check, 0)) return 3; pthread_join(thread, 0);"
LOADER = """
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        void* const object = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
        if (!object) return puts(dlerror()), 2;
        int (*const check)(void) = (int (*)(void))dlsym(object, "check_all");
        if (!check || check() != 0) return 1;
    }
    return 0;
}
"""


class Failure(Exception):
    pass


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


def copied(text, number):
    """Assembly with names of its own."""
    text = re.sub(r", :(tprel_\w+):", r", #:\1:", text)  # Clang 16 does not read what it has written
    text = re.sub(r"\b(" + "|".join(NAMES) + r")\b", rf"\1_{number}", text)
    return re.sub(r"(?<![\w.$])\.L(\w+)", rf".L{number}_\1", text)


class Linking:
    def __init__(self, arguments):
        self.folder = arguments.folder.resolve()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.compiler = arguments.compiler
        self.library = arguments.library.resolve()
        self.include = arguments.include.resolve()
        self.emulator = shlex.split(arguments.emulator)
        self.machine = run(*self.compiler, "-dumpmachine").split("-")[0]
        self.runs_shared = True
        if self.emulator:  # where the target's loader lies
            prefix = f"/usr/{self.machine}-linux-gnu"
            self.runs_shared = pathlib.Path(prefix, "lib/ld-linux-aarch64.so.1").exists()
            self.emulator += ["-L", prefix]

    def linkers(self):
        """By name, the flags that choose it."""
        flags = {}
        for name, programs in (("bfd", ("ld.bfd",)), ("gold", ("ld.gold",)), ("mold", ("ld.mold", "mold")),
                               ("lld", ("ld.lld", *(f"ld.lld-{version}" for version in range(30, 15, -1))))):
            if name in ("bfd", "gold") and self.machine != platform.machine():
                programs = tuple(f"{self.machine}-linux-gnu-{program}" for program in programs)
            found = next(filter(None, map(shutil.which, programs)), None)
            if not found:
                print(f"left out: {name} is not installed")
                continue
            place = self.folder / f"linker-{name}"  # where a compiler that knows not its name takes it for its own
            place.mkdir()
            (place / "ld").symlink_to(found)
            flags[name] = [f"-B{place}"]
            if "clang" in self.compiler[0]:
                flags[name] = [f"--ld-path={found}"]
        return flags

    def objects(self, name, *flags):
        """All copies, compiled and assembled, and what checks them."""
        folder = self.folder / name
        folder.mkdir()
        reach, state, assembly, checks = (folder / file for file in ("reach.s", "state.s", "all.s", "checks.c"))
        run(*self.compiler, "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-asynchronous-unwind-tables",
            "-fno-exceptions", *flags, "-I", ROOT / "include", "-S", HERE / "reach.cpp", "-o", reach)
        run(*self.compiler, *flags, "-I", ROOT / "include", "-E", "-P", ROOT / "lib/switch/thread_state.S", "-o", state)
        macros, _, body = state.read_text().partition('.section .tdata, "awT", %progbits')
        body = '.section .tdata, "awT", %progbits' + body
        once = re.sub(r'\n[^\n]*"error: weft [^\n]*\n__morestack:\n', "\n", reach.read_text())  # it refuses split stacks
        word = '.section .tdata, "awT", %progbits\n.quad 0\n'
        copies = "\n".join((word if number == COPIES // 2 else "") + copied(once + body, number) for number in range(COPIES))
        assembly.write_text(f"{macros}\n{copies}\n.section .rodata\n.globl weft_exceptions_unknown\n"
                            "weft_exceptions_unknown: .fill 128, 1, 1\n")
        declarations = "".join(
            f"extern _Thread_local char weft_thread_state_{n}[48]; static char* of_compiler_{n}(void) "
            f"{{ return weft_thread_state_{n}; }} void *weft_this_thread_{n}(void), *by_address_{n}(void), *current_{n}(void), "
            f"*idle_sentinel_{n}(void); void set_current_{n}(void*);\n" for n in range(COPIES))
        table = ",\n".join("{of_compiler_%d, weft_this_thread_%d, by_address_%d, current_%d, idle_sentinel_%d, set_current_%d}"
                           % ((n,) * 6) for n in range(COPIES))
        checks.write_text(CHECKS.format(declarations=declarations, table=table,
                                        thread="" if self.emulator and "-fPIC" in flags else THREAD))
        c = [flag for flag in flags if not flag.startswith(("-std", "-DWEFT"))]
        run(*self.compiler, "-x", "c", "-O1", *c, "-c", checks, "-o", folder / "checks.o")
        run(*self.compiler, *c, "-c", assembly, "-o", folder / "all.o")
        return [folder / "all.o", folder / "checks.o"]

    def main_for(self, name, text):
        source = self.folder / f"{name}.c"
        source.write_text(text)
        return ["-x", "c", source, "-x", "none"]

    def program(self, name, *link):
        program = self.folder / name
        run(*self.compiler, "-w", *link, "-pthread", "-o", program)
        return program

    def launch(self, what, *command):
        try:
            run(*self.emulator, *command)
        except Failure as failure:
            raise Failure(f"{what}: {failure}") from None

    def whole(self):
        compiled = self.folder / "whole.o"
        if not compiled.exists():
            run(*self.compiler, "-std=c++20", "-O2", "-ffunction-sections", "-fdata-sections", "-DWEFT_STATIC=1", "-I",
                ROOT / "include", "-I", self.include, "-c", HERE / "whole.cpp", "-o", compiled)
        return compiled

    def check_all(self):
        plain = self.main_for("plain", "int check_all(void); int main(void) { return check_all(); }\n")
        loader = self.main_for("loader", LOADER)
        in_itself = ["-DWEFT_STATIC=1"]
        kinds = {"local": self.objects("local", "-fno-pie", *in_itself), "local-pie": self.objects("local-pie", "-fPIE", *in_itself),
                 "initial": self.objects("initial", "-fPIE"), "function": self.objects("function", "-fPIC", *in_itself)}
        done = 0
        for linker, flags in self.linkers().items():
            ways = [("no-pie, static", "local", ["-no-pie", "-static"]), ("static-pie", "local-pie", ["-static-pie"]),
                    ("static, through a word", "initial", ["-static-pie"]), ("static, -fPIC", "function", ["-static-pie"])]
            if linker == "gold":  # which makes no static-pie
                ways = [(name, kind, ["-static"] if "local" not in kind else link) for name, kind, link in ways
                        if name != "static-pie"]
            if self.runs_shared:
                ways += [("no-pie", "local", ["-no-pie"]), ("pie", "local-pie", ["-pie"]),
                         ("pie, through a word", "initial", ["-pie"]), ("pie, -fPIC", "function", ["-pie"])]
            for way, kind, link in ways:
                number = f"{linker}-{done}"
                program = self.program(number, *flags, *link, *kinds[kind], *plain)
                self.launch(f"{linker}, {way}", program)
                done += 1
            for fold in [], ["-Wl,--gc-sections"], *([["-Wl,--icf=all", "-Wl,--gc-sections"]] if linker != "bfd" else []):
                # Static programs that gold 2.40 links for AArch64 end at their first exception, without weft, too.
                static = [] if self.runs_shared else ["-static"]
                whole = self.program(f"{linker}-whole", *flags, *fold, *static, self.whole(), self.library)
                said = run(*self.emulator, whole)
                if said != "6, the end\n":
                    raise Failure(f"{linker} {fold}: the whole program said {said}")
                done += 1
            if self.runs_shared:
                done += self.check_shared(linker, flags, kinds["function"], plain, loader)
        return done

    def check_shared(self, linker, flags, objects, plain, loader):
        name = f"{linker}-shared"
        library = self.program(f"lib{name}.so", *flags, "-shared", *objects)
        words = run("readelf" if not self.emulator else f"{self.machine}-linux-gnu-readelf", "-d", library)
        if "STATIC_TLS" in words:
            raise Failure(f"{linker}: a shared object wants storage that exists when the program starts")
        linked = self.program(name, *flags, *plain, library, f"-Wl,-rpath,{self.folder}")
        self.launch(f"{linker}, shared", linked)
        # Each copy has 20 KiB of thread-local storage, which no loader keeps free for what comes later.
        loads = self.program(f"{linker}-loads", *flags, *loader, "-ldl")
        second = self.folder / f"lib{name}-again.so"
        shutil.copy(library, second)
        self.launch(f"{linker}, loaded", loads, library, second)
        return 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--compiler", required=True, type=shlex.split)
    parser.add_argument("--library", required=True, type=pathlib.Path)
    parser.add_argument("--include", required=True, type=pathlib.Path, help="where weft/version.hpp is")
    parser.add_argument("--emulator", default="")
    arguments = parser.parse_args()
    try:
        done = Linking(arguments).check_all()
        print(f"{COPIES} places in a page, {done} programs: each way leads there")
    except Failure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
