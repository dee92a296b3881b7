# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""builds.py FOLDER --gcc G++ --clang CLANG++ [--packages FOLDER] [--jobs N] [--only WORDS]

Compiles program.cpp with the library's sources once for each odd build (without exceptions, without RTTI, optimized while
linking, shared, hardened, watched, all in one file, another standard library, other processors) and runs it. It must find all well, and a
program that destroys a suspended fiber, or resumes one that has ended, must end as it is documented for that build. What
weft cannot run on it must refuse, with the reason."""

import argparse
import concurrent.futures
import dataclasses
import pathlib
import platform
import re
import resource
import shlex
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "test/builds"
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
NO_EXCEPTIONS = ["-fno-exceptions"]
BARE = ["-fno-exceptions", "-fno-rtti"]
HARDENED = ["-fstack-clash-protection", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=3", "-D_GLIBCXX_ASSERTIONS"]
BRANCHES = {"x86_64": ["-fcf-protection=full"], "aarch64": ["-mbranch-protection=standard"]}
WATCHED = ["-fstack-protector-all", "-fsanitize=kcfi", "-fxray-instrument"]
HIDDEN = ["-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden"]


class Failure(Exception):
    pass


@dataclasses.dataclass
class Build:
    name: str
    compiler: list  # with what both sides are compiled and linked with
    library: list = dataclasses.field(default_factory=list)
    program: list = dataclasses.field(default_factory=list)
    link: list = dataclasses.field(default_factory=list)
    archiver: str = "ar"
    shared: bool = False
    inside: bool = False  # a static library, which becomes part of a shared one of the program
    unity: bool = False
    boost: bool = False  # on Boost.Context's switch
    emulator: list = dataclasses.field(default_factory=list)
    refused: str = ""  # with these words

    def unwinds(self):
        return "-fno-exceptions" not in self.compiler + self.library + self.program


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")


class Workshop:
    """Makes libraries and programs below a folder; builds that differ in the program alone share a library."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        self.libraries = {}

    def sources(self, build):
        for folder in ("bridge", "debug", "fiber", "stack", "switch", "thread"):
            for source in sorted((ROOT / "lib" / folder).glob("*.*")):
                own = folder != "switch" or source.name == "thread_state.S" or (source.name == "fcontext.cpp") == build.boost
                if source.suffix in (".cpp", ".S") and own:
                    yield source

    def compile(self, build, source, flags, target):
        standard = [] if source.suffix == ".S" else ["-std=c++20"]
        includes = ["-I", ROOT / "include", "-I", self.folder / "include"]
        switch = ["-DWEFT_SWITCH_FCONTEXT=1"] if build.boost else []
        run(*build.compiler[:1], *standard, "-O2", "-g0", *WARNINGS, *build.compiler[1:], *flags, *switch, *includes,
            "-c", source, "-o", target)
        return target

    def library(self, build):
        key = (tuple(build.compiler), tuple(build.library), build.shared, build.unity, build.boost)
        with self.lock:
            first = key not in self.libraries
            if first:
                self.libraries[key] = concurrent.futures.Future()
                number = len(self.libraries)
        if first:
            try:
                self.libraries[key].set_result(self.make_library(build, self.folder / f"library-{number}"))
            except Exception as failure:  # whoever waits for it is to see it, too
                self.libraries[key].set_exception(failure)
        return self.libraries[key].result()

    def make_library(self, build, folder):
        folder.mkdir(parents=True, exist_ok=True)
        sources = list(self.sources(build))
        if build.unity:
            whole = folder / "whole.cpp"
            whole.write_text("".join(f'#include "{source}"\n' for source in sources if source.suffix == ".cpp"))
            sources = [whole, *(source for source in sources if source.suffix == ".S")]
        flags = [*build.library, *(HIDDEN if build.shared else [])]
        objects = [self.compile(build, source, flags, folder / f"{source.parent.name}_{source.name}.o")
                   for source in sources]
        library = folder / ("libweft.so" if build.shared else "libweft.a")
        library.unlink(missing_ok=True)
        if build.shared:
            run(*build.compiler, "-O2", "-shared", "-Wl,-soname,libweft.so", "-Wl,-z,defs", *objects, *build.link,
                "-pthread", "-o", library)
        else:
            run(build.archiver, "rcs", library, *objects)
        return library

    def make_program(self, build):
        folder = self.folder / re.sub(r"\W+", "-", build.name)
        folder.mkdir(parents=True, exist_ok=True)
        flags = [*build.program, f"-DUNWINDS={int(build.unwinds())}"]
        if not build.shared:
            flags.append("-DWEFT_STATIC=1")
        if build.inside:
            flags += ["-fPIC", "-Dmain=whole_program"]
        objects = [self.compile(build, HERE / "program.cpp", flags, folder / "program.o"),
                   self.compile(build, HERE / "other.cpp", [*flags, *NO_EXCEPTIONS], folder / "other.o")]
        library = self.library(build)
        program = folder / "program"
        link = [*objects, library, *build.link, "-pthread"]
        if build.inside:
            run(*build.compiler, "-O2", "-shared", *link, "-Wl,-z,defs", "-o", folder / "libprogram.so")
            main = folder / "main.cpp"
            main.write_text("int whole_program(int, char**);\n"
                            "int main(int argc, char** argv) { return whole_program(argc, argv); }\n")
            link = [main, folder / "libprogram.so", f"-Wl,-rpath,{folder}"]
        elif build.shared:
            link.append(f"-Wl,-rpath,{library.parent}")
        run(*build.compiler, "-O2", *link, "-o", program)
        return program


def launch(command, emulator):
    """Without the emulator where the kernel runs such programs."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False, timeout=300)
    except OSError:
        if not emulator:
            raise
        return launch([*emulator, *command], [])


def expect(build, program, argument, says=None, dies_saying=None):
    done = launch([str(program), *argument], build.emulator)
    if says is not None:
        right = done.returncode == 0 and done.stdout == says and done.stderr == ""
    else:
        right = done.returncode == -6 and dies_saying in done.stderr  # abort()
    if not right:
        raise Failure(f"{shlex.join([str(program), *argument])} ended with {done.returncode} and said\n"
                      f"{done.stdout}{done.stderr}instead of\n{says or dies_saying}")


def perform(workshop, build):
    if build.refused:
        try:
            workshop.make_program(build)
        except Failure as failure:
            if build.refused in str(failure):
                return "refused, with the reason"
            raise
        raise Failure("it can be built")
    program = workshop.make_program(build)
    well = "all is well\n" if build.unwinds() else "all is well, without exceptions\n"
    no_way = "weft: a suspended fiber was destroyed that cannot be unwound"
    expect(build, program, [], says=well)
    if build.unwinds():
        expect(build, program, ["abandon"], says=well)
    else:
        expect(build, program, ["abandon"], dies_saying=no_way)
    expect(build, program, ["misuse"], dies_saying="weft: resume() of a fiber that has ended: ask done() before resuming")
    expect(build, program, ["mixed"], dies_saying=no_way)
    return "all is well" if build.unwinds() else "all is well, and what cannot be unwound says so"


def builds(gcc, clang, packages, staged_boost):
    version = subprocess.run([clang, "-dumpversion"], stdout=subprocess.PIPE, text=True, check=True).stdout.split(".")[0]
    for compiler, brand, standard in ((gcc, "GCC", "-std=c++23"), (clang, "Clang", "-std=c++2b")):
        yield Build(f"{brand}: without exceptions and RTTI", [compiler], library=BARE, program=BARE)
        yield Build(f"{brand}: a program without exceptions and RTTI", [compiler], program=BARE)
        yield Build(f"{brand}: in one file", [compiler], unity=True)
        yield Build(f"{brand}: {standard} -O3", [compiler, standard, "-O3"])
    yield Build("GCC: a library without exceptions and RTTI", [gcc], library=BARE)
    yield Build("GCC: a library without RTTI", [gcc], library=["-fno-rtti"])
    yield Build("GCC: a program without RTTI", [gcc], program=["-fno-rtti"])
    yield Build("GCC: shared", [gcc], shared=True)
    yield Build("GCC: inside of a shared library", [gcc], library=["-fPIC"], inside=True)
    yield Build("Clang: inside of a shared library", [clang], library=["-fPIC"], inside=True)
    gcc_archiver = re.sub(r"g\+\+(?=[^/]*$)", "gcc-ar", gcc)
    lld = ["-fuse-ld=lld"]
    yield Build("GCC: -flto", [gcc, "-flto"], archiver=gcc_archiver)
    yield Build("GCC: -flto, shared", [gcc, "-flto"], shared=True)
    yield Build("Clang: -flto", [clang, "-flto"], link=lld, archiver=f"llvm-ar-{version}")
    yield Build("Clang: -flto=thin", [clang, "-flto=thin"], link=lld, archiver=f"llvm-ar-{version}")
    yield Build("Clang: -flto=thin, shared", [clang, "-flto=thin"], link=lld, shared=True)

    branches = BRANCHES.get(platform.machine(), [])
    for compiler, brand in ((gcc, "GCC"), (clang, "Clang")):
        yield Build(f"{brand}: hardened", [compiler, *HARDENED, *branches])
    yield Build("GCC: hardened, shared", [gcc, *HARDENED, *branches], shared=True)
    yield Build("Clang: watched", [clang, *WATCHED])
    yield Build("Clang: safe stacks", [clang, "-fsanitize=safe-stack"], refused="-fsanitize=safe-stack wants two: build without")
    yield Build("Clang: data flow", [clang, "-fsanitize=dataflow"], refused="-fsanitize=dataflow where control goes")
    if platform.machine() == "x86_64":
        yield Build("GCC: split stacks", [gcc, "-fsplit-stack"], refused="error: weft does not run on split stacks: build without")
    yield Build("Clang: -fsanitize=cfi", [clang, "-flto=thin", "-fsanitize=cfi", "-fvisibility=hidden"], link=lld,
                archiver=f"llvm-ar-{version}")

    llvm = packages / f"libcxx/root/usr/lib/llvm-{version}"
    libcxx = [clang, "-nostdinc++", "-isystem", str(llvm / "include/c++/v1")]
    link = ["-nostdlib++", str(llvm / "lib/libc++.a"), str(llvm / "lib/libc++abi.a")]
    yield Build("Clang: libc++", libcxx, link=link)
    yield Build("Clang: libc++, without exceptions and RTTI", libcxx, library=BARE, program=BARE, link=link)

    i686 = ["i686-linux-gnu-g++", "-isystem", str(staged_boost)]
    link = ["-static", str(packages / "i386/root/usr/lib/i386-linux-gnu/libboost_context.a")]
    yield Build("GCC: i686, 32 bits, Boost.Context", i686, link=link, boost=True, emulator=["qemu-i386"])
    yield Build("GCC: i686, 32 bits, Boost.Context, without exceptions and RTTI", i686, library=BARE, program=BARE,
                link=link, boost=True, emulator=["qemu-i386"])

    aarch64 = ["aarch64-linux-gnu-g++"]
    emulator = ["qemu-aarch64", "-cpu", "max"]
    yield Build("GCC: aarch64, -flto", [*aarch64, "-flto"], link=["-static"], archiver="aarch64-linux-gnu-gcc-ar",
                emulator=emulator)
    yield Build("GCC: aarch64, hardened", [*aarch64, *HARDENED, *BRANCHES["aarch64"]], link=["-static"], emulator=emulator)
    yield Build("Clang: aarch64, hardened",
                [clang, "--target=aarch64-linux-gnu", *HARDENED[1:], *BRANCHES["aarch64"]], link=["-static"], emulator=emulator)
    yield Build("GCC: aarch64, without exceptions and RTTI", aarch64, library=BARE, program=BARE, link=["-static"],
                emulator=emulator)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gcc", required=True)
    parser.add_argument("--clang", required=True)
    parser.add_argument("--packages", type=pathlib.Path, required=True, help="where i386 and libcxx have been unpacked")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="the builds whose name has these words")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    staged_boost = folder / "boost"
    staged_boost.mkdir(exist_ok=True)
    if not (staged_boost / "boost").exists():
        (staged_boost / "boost").symlink_to("/usr/include/boost")  # Boost's headers, and no others of this machine
    version = re.search(r"^ *VERSION ((\d+)\.(\d+)\.(\d+))$", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    number = int(version[2]) * 10000 + int(version[3]) * 100 + int(version[4])
    header = (ROOT / "lib/version.hpp.in").read_text().replace("@PROJECT_VERSION@", version[1])
    (folder / "include/weft").mkdir(parents=True, exist_ok=True)
    (folder / "include/weft/version.hpp").write_text(header.replace("@version_number@", str(number)))

    workshop = Workshop(folder)
    chosen = [build for build in builds(arguments.gcc, arguments.clang, arguments.packages.resolve(), staged_boost)
              if arguments.only in build.name]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = [(build, pool.submit(perform, workshop, build)) for build in chosen]
        for build, result in results:
            try:
                print(f"builds {build.name}: {result.result()}", flush=True)
            except (Failure, subprocess.TimeoutExpired) as failure:
                print(f"FAILED builds {build.name}: {failure}", flush=True)
                failures += 1
    print(f"builds {len(chosen) - failures} of {len(chosen)} builds are right")
    sys.exit(1 if failures or not chosen else 0)


if __name__ == "__main__":
    main()
