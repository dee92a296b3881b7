# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""mixtures.py run|refuse FOLDER --include FOLDER --compiler C++... [--tools PREFIX] [--emulator COMMAND] [--shared]

Programs whose files and library are compiled with different settings.

run: what changes nothing between the two (NDEBUG, checks of contexts, optimization, position, branch targets) may be
mixed. Two files of one program, each with NDEBUG or without, on a library that checks contexts or not, static or shared:
each does everything with what the other has made. The resume and the suspend are the same bytes.

refuse: what does change it (the switch, signed addresses, shadow call stacks, sanitizers) is part of the name of whatever
inline code and the library share, so that a mixture does not link. Reads the names in both, and links."""

import argparse
import itertools
import pathlib
import platform
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "test/mixtures"
# Names that every setting has: C's, which have no other; and exceptions, which hold nothing that a setting changes.
ALIKE = re.compile(r"weft_(thread_state|this_thread|debugger_\w+|(make|jump|ontop)_context)"
                   r"|(vtable for |typeinfo for |typeinfo name for )?weft::"
                   r"(fiber_error|not_in_fiber|forced_unwind|operation_stopped|stack_exhausted)(::.*)?")
# Inline functions which are the same with every setting, so that a linker may take those of any file.
INDIFFERENT = re.compile(r"std::|.*\bweft::(task<|detail::(task_promise|await_request::~|start_await<|get_awaiter<|"
                         r"shim_promise|transferring_wait|ambient_kind|has_cached_fiber|tag_bits|exception_state|fp_state|"
                         r"give_back_to_pool|stop_answer|fiber_details::~))")


class Failure(Exception):
    pass


def check(right, message):
    if not right:
        raise Failure(message)


class Setting:
    """Something that inline code and the library must share."""

    def __init__(self, name, flags, boost=False):
        self.name = name
        self.flags = flags
        self.boost = boost


class Workshop:
    def __init__(self, arguments):
        self.folder = arguments.folder.resolve() / arguments.what
        self.folder.mkdir(parents=True, exist_ok=True)
        self.include = arguments.include
        self.compiler = arguments.compiler
        self.tools = arguments.tools
        self.emulator = shlex.split(arguments.emulator)
        self.link_flags = ["-static"] if self.emulator else []
        version = self.run(*self.compiler, "--version").stdout
        self.clang = "clang" in version
        target = self.run(*self.compiler, "-dumpmachine").stdout
        self.aarch64 = target.startswith("aarch64") if target else platform.machine() == "aarch64"
        self.plain = "native_switch_plain_pc_no_sanitizer" if self.aarch64 else "native_switch_no_sanitizer"

    @staticmethod
    def run(*command, may_fail=False):
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False, timeout=300)
        check(may_fail or done.returncode == 0,
              f"{shlex.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
        return done

    def compile(self, source, target, *flags):
        target = self.folder / target
        self.run(*self.compiler, "-std=c++20", "-g0", *flags, "-I", ROOT / "include", "-I", self.include, "-c", source,
                 "-o", target)
        return target

    def library(self, name, *flags, shared=False, boost=False):
        """The library's sources in one file."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        sources = [source for place in ("bridge", "debug", "fiber", "stack", "switch", "thread")
                   for source in sorted((ROOT / "lib" / place).glob("*.cpp"))
                   if place != "switch" or (source.name == "fcontext.cpp") == boost]
        whole = folder / "whole.cpp"
        whole.write_text("".join(f'#include "{source}"\n' for source in sources))
        flags = [*flags, "-fvisibility=hidden", "-fvisibility-inlines-hidden", *(["-fPIC"] if shared else [])]
        objects = [self.compile(whole, f"{name}/whole.o", *flags)]
        for source in sorted((ROOT / "lib/switch").glob("thread_state.S" if boost else "*.S")):
            objects.append(self.folder / name / f"{source.name}.o")
            self.run(*self.compiler, *flags, "-I", ROOT / "include", "-c", source, "-o", objects[-1])
        library = folder / ("libweft.so" if shared else "libweft.a")
        library.unlink(missing_ok=True)
        if shared:
            self.run(*self.compiler, "-shared", "-Wl,-soname,libweft.so", "-Wl,-z,defs", *objects, "-pthread",
                     "-o", library)
        else:
            self.run(self.tools + "ar", "rcs", library, *objects)
        return library

    def link(self, program, objects, library, *flags, may_fail=False):
        program = self.folder / program
        path = [f"-Wl,-rpath,{library.parent}"] if library.suffix == ".so" else []
        done = self.run(*self.compiler, *objects, library, *path, *self.link_flags, *flags, "-pthread", "-o", program,
                        may_fail=may_fail)
        return done if may_fail else program

    def launch(self, program, *words):
        try:
            return self.run(program, *words, may_fail=True)
        except OSError:
            return self.run(*self.emulator, program, *words, may_fail=True)

    # What may be mixed

    def halves(self, name, *flags):
        """Objects of the two halves, with and without NDEBUG."""
        return {(half, ndebug): self.compile(HERE / "half.cpp", f"{half}-{ndebug}-{name}.o", f"-DHALF={half}", *flags,
                                             *(["-O2", "-DNDEBUG"] if ndebug == "NDEBUG" else ["-O0"]))
                for half in ("first", "second") for ndebug in ("NDEBUG", "debug")}

    def expect(self, program, library_checks, *also):
        """All is well, and a library that checks contexts reports mistakes."""
        what = f"{program.name}{' '.join(('', *also))}"
        done = self.launch(program)
        well = "all is well, and checked\n" if library_checks else "all is well\n"
        check(done.returncode == 0 and done.stdout == well,
              f"{what} ended with {done.returncode} and said {done.stdout!r}")
        if not library_checks: # then there is no telling
            return
        done = self.launch(program, "torn")
        check(done.returncode == -6 and "the context of the suspended fiber" in done.stdout,
              f"{what} torn ended with {done.returncode} and said {done.stdout!r}")
        done = self.launch(program, "without a value")
        check(done.returncode == 0 and "a generator's body was suspended without a value" in done.stdout,
              f"{what} 'without a value' ended with {done.returncode} and said {done.stdout!r}")

    def mix(self, shared):
        kind = "shared" if shared else "static"
        static = [] if shared else ["-DWEFT_STATIC=1"]
        libraries = {"release": self.library(f"{kind}-release", "-O2", "-DNDEBUG", shared=shared),
                     "debug": self.library(f"{kind}-debug", "-O0", "-DWEFT_CHECKS_CONTEXTS=1", shared=shared)}
        main = self.compile(HERE / "main.cpp", f"main-{kind}.o", "-O0", *static)
        halves = self.halves(kind, *static)
        for (name, library), first, second in itertools.product(libraries.items(), *[("NDEBUG", "debug")] * 2):
            objects = [main, halves["first", first], halves["second", second]]
            self.expect(self.link(f"{kind}-{name}-{first}-{second}", objects, library), name == "debug")
        print(f"{kind}: a library that checks contexts or not, with files that have NDEBUG or not")
        if not shared:
            self.mix_flags(main, halves["first", "NDEBUG"], libraries)

    def mix_flags(self, main, half, libraries):
        """A file with flags of its own, of which the others know nothing."""
        branches = ["-mbranch-protection=bti"] if self.aarch64 else ["-fcf-protection=full"]
        flags = [["-O1", *branches], ["-O3", "-fPIC"], ["-O2", "-fno-rtti", "-fstack-protector-strong"],
                 ["-O2", "-fno-omit-frame-pointer", "-ffunction-sections"]]
        if not self.clang:
            flags.append(["-O2", "-flto", "-ffat-lto-objects"])
        for number, words in enumerate(flags):
            other = self.compile(HERE / "half.cpp", f"flags-{number}.o", "-DHALF=second", *words)
            for name, library in libraries.items():
                self.expect(self.link(f"flags-{number}-{name}", [main, half, other], library), name == "debug", *words)
        print("static: with files of other flags: " + ", ".join(shlex.join(words) for words in flags))

    def compare_code(self):
        for words in (["-O2", "-DWEFT_STATIC=1"], ["-O2", "-fPIC"]):
            with_it, without = (self.compile(HERE / "loops.cpp", "loops.o", *words, *more).read_bytes()
                                for more in (["-DNDEBUG"], []))
            check(with_it == without, f"{shlex.join(words)}: NDEBUG changes what resume and suspend are compiled to")
        print("resume and suspend are the same code with NDEBUG and without")

    # What may not

    def settings(self):
        yield Setting(self.plain, [])
        switch = "native_switch_plain_pc" if self.aarch64 else "native_switch"
        yield Setting("boost_switch_no_sanitizer", ["-DWEFT_SWITCH_FCONTEXT=1"], boost=True)
        if self.aarch64:
            yield Setting("native_switch_signed_pc_no_sanitizer", ["-mbranch-protection=standard"])
            told = [] if self.clang else ["-DWEFT_SHADOW_CALL_STACK=1"]
            yield Setting(f"{switch}_shadow_call_stack_no_sanitizer",
                          ["-fsanitize=shadow-call-stack", "-ffixed-x18", "-fno-exceptions", *told])
            yield Setting(f"{switch}_needs_weft_with_fsanitize_hwaddress", ["-fsanitize=hwaddress"])
        else:
            yield Setting(f"{switch}_needs_weft_with_fsanitize_address", ["-fsanitize=address"])
            yield Setting(f"{switch}_needs_weft_with_fsanitize_thread", ["-fsanitize=thread"])
            if self.clang:
                yield Setting(f"{switch}_needs_weft_with_fsanitize_memory", ["-fsanitize=memory"])
            if self.run(*self.compiler, "-fsyntax-only", "-include", "valgrind/valgrind.h", "-xc++", "/dev/null",
                        may_fail=True).returncode == 0:
                yield Setting(f"{switch}_no_sanitizer_valgrind", ["-DWEFT_TELLS_VALGRIND=1"])

    @staticmethod
    def untagged(names, tag):
        """Those of weft that every setting could have."""
        return sorted(name for name in names if re.match(r"(\w+ (name )?for )?weft(::|_)", name)
                      and f"[abi:{tag}]" not in name and not ALIKE.fullmatch(name)
                      and not name.endswith("_with_shadow_call_stack"))

    def demangle(self, names):
        done = subprocess.run([self.tools + "c++filt"], input="\n".join(names), stdout=subprocess.PIPE, text=True,
                              check=True)
        return done.stdout.splitlines()

    def exported(self, library):
        """The names that other files may use: global ones that are not hidden."""
        lines = self.run(self.tools + "readelf", "--symbols", "--wide", library).stdout.splitlines()
        words = [line.split() for line in lines]
        return self.demangle({w[7] for w in words if len(w) == 8 and w[4] in ("GLOBAL", "WEAK", "UNIQUE")
                              and w[5] == "DEFAULT" and w[6] != "UND"})

    def needed_by_function(self, program_file):
        """What each function `user_…` of an object refers to, and the name that it has itself."""
        needs, section = {}, None
        lines = self.run(self.tools + "readelf", "--relocs", "--wide", program_file).stdout.splitlines()
        for line in lines:
            if match := re.match(r"Relocation section '\.rela?(\.\S+)'", line):
                match = re.fullmatch(r"\.text(?:\.unlikely|\.hot)?\.(_Z\d+user_\w+?)(?:\.cold)?", match[1])
                section = match and match[1]
            elif section and len(line.split()) >= 5:
                needs.setdefault(section, {section}).add(line.split()[4])
        symbols = self.run(self.tools + "readelf", "--symbols", "--wide", program_file).stdout
        for name in re.findall(r" FUNC +GLOBAL .* (_Z\d+user_\w+)$", symbols, re.MULTILINE):
            needs.setdefault(name, {name})
        return {name: self.demangle(names) for name, names in needs.items()}

    def check_inline_functions(self):
        """A linker takes one of each for all files: where a setting changes it, its name must have it."""
        users = self.compile(HERE / "users.cpp", "all-users.o", "-O0")
        symbols = self.run(self.tools + "nm", "--defined-only", "--demangle", users).stdout
        names = re.findall(r"^\w* [WVu] (.*\bweft::.*)$", symbols, re.MULTILINE)
        check(len(names) > 50, f"users.cpp has only {len(names)} inline functions of weft")
        bare = [name for name in names if "[abi:" not in name and not INDIFFERENT.match(name)]
        check(not bare, f"inline functions that every setting could have: {bare}")

    def refuse(self):
        self.check_inline_functions()
        plain = self.library("plain", "-O0")
        plain_users = self.compile(HERE / "users.cpp", "plain-users.o", "-O1", "-ffunction-sections")
        settings = list(self.settings())
        for setting in settings:
            flags = setting.flags
            library = self.library(setting.name, "-O0", *flags, boost=setting.boost) if flags else plain
            bare = self.untagged(self.exported(library), setting.name)
            check(not bare, f"{setting.name}: the library exports names that every setting has: {bare}")

            users = self.compile(HERE / "users.cpp", f"users-{setting.name}.o", "-O1", "-ffunction-sections", *flags)
            needs = self.needed_by_function(users)
            check(len(needs) >= 29, f"users.cpp has only {len(needs)} users: {sorted(needs)}")
            tag = f"[abi:{setting.name}]"
            for function, names in needs.items():
                check(any(tag in name or name.endswith("_with_shadow_call_stack") for name in names),
                      f"{setting.name}: {function} needs no name that has the setting: {sorted(names)}")
            undefined = self.run(self.tools + "nm", "--undefined-only", "--demangle", users).stdout
            bare = self.untagged([line.split(maxsplit=1)[1] for line in undefined.splitlines()], setting.name)
            check(not bare, f"{setting.name}: inline code needs names that every setting has: {bare}")
            if not flags:
                continue
            for objects, of, side in ((users, plain, setting.name), (plain_users, library, self.plain)):
                done = self.link("mixture", [objects], of, may_fail=True)
                expected = rf"undefined reference to .weft::detail::resume_slow\[abi:{side}\]"
                check(done.returncode != 0 and re.search(expected, done.stdout),
                      f"{setting.name} with {self.plain} links, or says no name:\n{done.stdout[-2000:]}")
        names = ", ".join(setting.name for setting in settings[1:])
        print(f"{settings[0].name} is not linked with {names}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "refuse"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--include", type=pathlib.Path, required=True, help="where the build has its own headers")
    parser.add_argument("--compiler", nargs="+", required=True)
    parser.add_argument("--tools", default="", help="what the names of nm and its like begin with")
    parser.add_argument("--emulator", default="", help="runs the programs, which are linked statically")
    parser.add_argument("--shared", action="store_true", help="with a shared library, too")
    arguments = parser.parse_args()
    try:
        workshop = Workshop(arguments)
        if arguments.what == "run":
            workshop.compare_code()
            workshop.mix(shared=False)
            if arguments.shared:
                workshop.mix(shared=True)
        else:
            workshop.refuse()
    except Failure as failure:
        sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()
