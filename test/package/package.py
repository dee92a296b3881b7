# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Installs weft from a build and lets small projects use it, with that build's compiler and toolchain.

    package.py BUILD FOLDER install [--shared]        first: installs into FOLDER, moves it, looks through it
    package.py BUILD FOLDER consume PROJECT PRINTS [--shared] [OPTION...]
                                                      builds a project of this folder; its program must print PRINTS
    package.py BUILD FOLDER pkg-config PRINTS [--shared]
    package.py BUILD FOLDER versions                  other versions than the installed one are not found
    package.py BUILD FOLDER refuse PROJECT SENTENCE OPTION...
                                                      a project that must not be configured, for this reason
    package.py BUILD FOLDER alone                     README's lines to install it, where there is but a compiler, CMake and
                                                      make
    package.py BUILD FOLDER incomplete                weft's own build where some package is missing

In PRINTS and SENTENCE, @VERSION@ and @NUMBER@ are the version as words and as one number. --shared: a shared library, which
install builds; else what the build has."""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LICENSE = "share/licenses/weft/LICENSE"
CMAKE_CONFIG = ("weftConfig.cmake", "weftConfigVersion.cmake", "weftTargets.cmake", "asio.cmake", "boost.cmake",
                "senders.cmake")
# What a compiler calls, and CMake with it.
TOOLS = "as ld ar ranlib nm objcopy objdump readelf strip make uname".split()


class Failure(Exception):
    pass


def check(right, sentence):
    if not right:
        raise Failure(sentence)


def run(*command, environment=None, fails=False, cwd=None):
    """Its output; fails: it must."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, env=environment, timeout=500, cwd=cwd)
    check((done.returncode != 0) == fails,
          f"{shlex.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Package:
    def __init__(self, arguments):
        self.build = arguments.build.resolve()
        self.cache = dict(re.findall(r"^([\w-]+):\w+=(.*)$", (self.build / "CMakeCache.txt").read_text(), re.MULTILINE))
        self.compiler = shlex.split(arguments.compiler)
        self.emulator = shlex.split(arguments.emulator)
        self.version = self.cache["CMAKE_PROJECT_VERSION"]
        self.kind = "shared" if arguments.shared else "static"
        self.folder = arguments.folder.resolve()
        self.prefix = self.folder / self.kind / "moved" / "weft"
        self.cmake = self.cache["CMAKE_COMMAND"]
        self.native = self.cache["WEFT_SWITCH"] == "native"

    def fresh(self, name):
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir(parents=True)
        return self.folder / name

    def fill_in(self, text):
        major, minor, patch = (int(part) for part in self.version.split("."))
        return text.replace("@VERSION@", self.version).replace("@NUMBER@", str(major * 10000 + minor * 100 + patch))

    def configure(self, source, build, *options, fails=False):
        """What it prints. The compiler and what a cross build needs are those of weft's own build."""
        roots = [self.cache.get("CMAKE_FIND_ROOT_PATH", ""), str(self.prefix)]
        same = [f"-D{name}={self.cache[name]}" for name in ("CMAKE_TOOLCHAIN_FILE", "CMAKE_CXX_COMPILER") if self.cache.get(name)]
        if "CMAKE_TOOLCHAIN_FILE" in self.cache:
            same.append("-DCMAKE_FIND_ROOT_PATH=" + ";".join(filter(None, roots)))
        return run(self.cmake, "-S", source, "-B", build, "-G", self.cache["CMAKE_GENERATOR"], *same,
                   "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", f"-DCMAKE_PREFIX_PATH={self.prefix}", *options, fails=fails)

    # install

    def install(self):
        made = self.fresh(self.kind)
        build = self.build
        if self.kind == "shared":
            build = made / "build"
            self.configure(ROOT, build, "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=Release", "-DWEFT_BUILD_TESTS=OFF",
                           "-DWEFT_BUILD_EXAMPLES=OFF", f"-DWEFT_SWITCH={self.cache['WEFT_SWITCH']}")
            run(self.cmake, "--build", build)
        first = made / "first"
        run(self.cmake, "--install", build, "--prefix", first)
        self.prefix.parent.mkdir()
        first.rename(self.prefix)
        self.check_files(self.files(self.prefix))
        self.check_places([build, ROOT, first])
        self.check_no_flags()
        self.check_components(build, made)
        if self.kind == "shared":
            self.check_symbols()
            self.check_protection(self.prefix / "lib/libweft.so", bound_now=True)

    @staticmethod
    def files(folder):
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}

    def libraries(self):
        """Those of the components weft_runtime and weft_development."""
        short = self.version.rpartition(".")[0]
        runtime = {f"lib/libweft.so.{short}", f"lib/libweft.so.{self.version}"} if self.kind == "shared" else set()
        development = {"lib/libweft.so" if self.kind == "shared" else "lib/libweft.a"}
        development |= {"share/weft/weft.py", "share/weft/weft_lldb.py"}
        if self.kind == "shared":
            development.add(f"lib/libweft.so.{self.version}-gdb.py")
        if self.native:
            development.add("lib/libweft_fcontext.a")
        return runtime, development

    def check_files(self, files):
        expected = {f"include/{name}" for name in self.files(ROOT / "include")}
        expected |= {LICENSE, "include/weft/version.hpp", "lib/pkgconfig/weft.pc"}
        expected |= {f"lib/cmake/weft/{name}" for name in CMAKE_CONFIG}
        expected = expected.union(*self.libraries())
        files = {name for name in files if not re.match(r"lib/cmake/weft/weftTargets-\w+\.cmake$", name)}
        check(files == expected, f"missing: {sorted(expected - files)}, unexpected: {sorted(files - expected)}")

    def check_places(self, places):
        """No file knows where it was made; an object with debug information does."""
        for name in sorted(self.files(self.prefix)):
            if name.endswith(".a") and self.kind == "static":
                continue
            content = (self.prefix / name).read_bytes()
            for place in places:
                check(str(place).encode() not in content, f"{name} names {place}")

    def check_no_flags(self):
        texts = [(self.prefix / "lib/cmake/weft" / name) for name in self.files(self.prefix / "lib/cmake/weft")]
        for text in texts:
            if text.name.startswith("weftTargets"):
                found = re.findall(r"[\s\";](-[WOfm][^l]\S*|-std=\S*)", text.read_text())
                check(not found, f"{text.name} hands on {found}")

    def check_components(self, build, made):
        runtime = self.libraries()[0] | {LICENSE}
        for component, files in ("weft_runtime", runtime), ("weft_development", self.files(self.prefix) - runtime):
            run(self.cmake, "--install", build, "--prefix", made / component, "--component", component)
            found = self.files(made / component)
            check(found == files, f"component {component}, too much or not there: {sorted(found ^ files)}")

    # The shared library's names

    def check_symbols(self):
        library = self.prefix / "lib/libweft.so"
        exported = set()
        for line in run("nm", "--dynamic", "--defined-only", "--demangle", library).splitlines():
            exported.add(re.sub(r"\[abi:\w+\]", "", line.split(" ", 2)[2]))
        declared, functions = self.declared()
        for name in sorted(exported):
            check(self.is_declared(name, declared), f"{library.name} exports {name}, which no header declares WEFT_API")
        plain = {re.sub(r"\(.*", "", name).split("::")[-1] for name in exported}
        check(functions <= plain, f"declared WEFT_API, but not exported: {sorted(functions - plain)}")

    @staticmethod
    def check_protection(file, bound_now=False):
        """What the loader makes of it: no memory both writable and executable; what it relocates is read-only afterwards,
        with bound_now the addresses of other libraries' functions, too; nothing is relocated in the code."""
        segments = {}
        for line in run("readelf", "--program-headers", "--wide", file).splitlines():
            if match := re.match(r" +([A-Z_]+) +0x.* ([R ][W ][E ]) 0x", line):
                segments.setdefault(match[1], []).append(match[2])
        check(segments.get("GNU_STACK") == ["RW "], f"{file.name} asks for the stack {segments.get('GNU_STACK')}")
        check("GNU_RELRO" in segments, f"{file.name} leaves writable what the loader has relocated")
        check("LOAD" in segments and not any("WE" in access for access in segments["LOAD"]),
              f"{file.name} is mapped {segments.get('LOAD')}")
        dynamic = run("readelf", "--dynamic", "--wide", file)
        check("TEXTREL" not in dynamic, f"{file.name} has relocations in its code")
        check(not bound_now or re.search(r"FLAGS.*NOW", dynamic), f"{file.name} binds functions when they are called first")

    @staticmethod
    def declared():
        """Names that headers declare WEFT_API: of all, and of functions."""
        # the library's own: see weft/detail/thread_state.hpp, lib/fiber/debugger.h
        classes, functions = set(), {"weft_thread_state", "weft_this_thread", "weft_debugger_layout", "weft_debugger_records"}
        for header in (ROOT / "include").rglob("*.hpp"):
            text = re.sub(r"^#.*", "", header.read_text(), flags=re.MULTILINE)
            classes |= set(re.findall(r"(?:class|struct) WEFT_(?:API|EXPORT) (\w+)", text))
            functions |= set(re.findall(r"(?<!class )(?<!struct )WEFT_(?:API|EXPORT) [^(;{]*?(\w+)\(", text))
            functions |= set(re.findall(r"WEFT_API extern const \w+ (\w+);", text)) # and constants
        functions.remove("WEFT_THIS_THREAD") # a macro, for the one above
        return classes | functions, functions

    @staticmethod
    def is_declared(name, declared):
        """Something of namespace std that is instantiated in weft; or a declared function, class or member of a class."""
        path = re.sub(r"\(.*| const$", "", re.sub(r"^(typeinfo name|typeinfo|vtable) for ", "", name)).split("::")
        if path[0] == "std":
            return True
        while path[0] in ("weft", "detail", "this_fiber"):
            path = path[1:]
        return path[0] in declared and all(part in declared for part in path[1:-1]) # of a class, or one within it

    # Programs that use it

    def consume(self, project, prints, options):
        build = self.fresh(f"{self.kind}-{project}")
        options = [option.replace("@HERE@", str(HERE)) for option in options]
        if project == "fetch_content":
            options.append(f"-DWEFT_ARCHIVE={self.archive(build)}")
        printed = self.configure(HERE / project, build, f"-DCMAKE_PROJECT_INCLUDE={HERE / 'interface.cmake'}",
                                 *options)
        check("Warning" not in printed, printed)
        run(self.cmake, "--build", build)
        program = self.check_commands(build, HERE / project, options)
        self.check_protection(build / program)
        printed = run(*self.emulator, build / program)
        check(printed == self.fill_in(prints) + "\n", f"{project} printed {printed}")
        run(self.cmake, "--install", build, "--prefix", build / "nothing")
        check(not (build / "nothing").exists(), f"{project} installs weft, too")

    @staticmethod
    def archive(folder):
        """What somebody who fetches weft gets, at least."""
        path = folder / "weft.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for name in ("CMakeLists.txt", "LICENSE", "include", "lib"):
                archive.add(ROOT / name, f"weft/{name}")
        return path

    def default_standard(self):
        """The year in the C++ standard that the compiler takes when none is named."""
        macros = run(*self.compiler, "-dM", "-E", "-x", "c++", "/dev/null")
        return int(re.search(r"#define __cplusplus 20(\d\d)", macros)[1])

    def check_commands(self, build, project, options):
        """The program; it is compiled with what it asks for itself, and as C++20 because of weft, unless the compiler
        does that anyway."""
        default = self.default_standard()
        standard = [] if default >= 20 else ["-std=gnu++20"]
        for option in options:
            if option.startswith("-DCMAKE_CXX_STANDARD="):
                standard = [] if default == int(option[-2:]) else ["-std=gnu++" + option[-2:]]
        if project.name == "fcontext": # which does not ask for C++20
            standard = []
        for entry in json.loads((build / "compile_commands.json").read_text()):
            words = shlex.split(entry["command"])[1:]
            source = pathlib.Path(entry["file"])
            if source.parent not in (project, HERE):
                continue
            strange = [word for word in words if re.match(r"-(?!I|isystem$|o$|c$|pthread$|DWEFT_(SWITCH|STATIC)|DBOOST_|-target=)", word)]
            check([re.sub("2b$", "23", word) for word in strange] == standard,
                  f"{source.name} is compiled with {strange} instead of {standard}")
            return source.stem
        raise Failure(f"{project} compiles nothing of its own")

    def pkg_config(self, prints):
        folder = self.fresh(f"{self.kind}-pkg-config")
        tool = {"PKG_CONFIG_LIBDIR": str(self.prefix / "lib/pkgconfig"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        check(run("pkg-config", "--modversion", "weft", environment=tool).strip() == self.version, "weft.pc has another version")
        flags = run("pkg-config", "--cflags", "--libs", "weft", environment=tool).split()
        more = ["-static"] if self.emulator else [f"-Wl,-rpath,{self.prefix / 'lib'}"]
        run(*self.compiler, "-std=c++20", HERE / "hello.cpp", *flags, *more, "-o", folder / "hello")
        printed = run(*self.emulator, folder / "hello")
        check(printed == self.fill_in(prints) + "\n", f"the program printed {printed}")

    def versions(self):
        major, minor, patch = (int(part) for part in self.version.split("."))
        refused = [f"{major}.{minor}.{patch + 1}", f"{major}.{minor + 1}", f"{major + 1}.{minor}", f"{major + 1}"]
        if minor > 0:
            refused.append(f"{major}.{minor - 1}")
        self.configure(HERE / "versions", self.fresh("versions"), f"-DINSTALLED={self.version}",
                       "-DREFUSED=" + ";".join(refused))

    def refuse(self, project, sentence, options):
        build = self.fresh("-".join(["refuse", project, *re.findall(r"=(\w+)$", options[0])]))
        printed = self.configure(HERE / project, build, *options, fails=True)
        check(sentence in re.sub(r"\s+", " ", printed), f"{sentence!r} is not said:\n{printed}")

    # Its own build, where not everything is installed

    def alone(self):
        """README's lines; then the build as it is by default, and once more without tests."""
        folder = self.fresh("alone")
        (folder / "weft").symlink_to(ROOT)
        (folder / "bin").mkdir()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (folder / "bin" / tool).symlink_to(found)
        environment = {"PATH": str(folder / "bin"), "DESTDIR": str(folder / "installed")}
        environment |= {name: os.environ[name] for name in os.environ if name.startswith("CCACHE_")}
        hidden = ["-DCMAKE_IGNORE_PREFIX_PATH=/;/usr;/usr/local", "-DCMAKE_IGNORE_PATH=/usr/bin;/bin",
                  f"-DCMAKE_CXX_COMPILER={shutil.which(self.compiler[0])}"]
        if ccache := shutil.which("ccache"):
            hidden.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={ccache}")

        lines = re.search(r"^## Install\n.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
        commands = [shlex.split(line, comments=True) for line in lines.splitlines()]
        check([words[1] for words in commands] == ["-S", "--build", "--install"], f"README installs weft by {lines}")
        for words in commands:
            check(words[0] == "cmake", f"README installs weft by {words}")
            printed = run(self.cmake, *words[1:], *(hidden if words[1] == "-S" else []), environment=environment, cwd=folder)
            check("left out" not in printed and "unit_" not in printed, f"tests are built, too:\n{printed}")
        prefix = folder / "installed/usr/local"
        run(*self.compiler, "-std=c++20", HERE / "hello.cpp", "-I", prefix / "include", "-L", prefix / "lib", "-lweft",
            "-pthread", "-o", folder / "hello")
        printed = run(folder / "hello")
        check(printed == self.fill_in("weft @VERSION@, @NUMBER@: 42\n"), f"the program printed {printed}")

        default = [self.cmake, "-S", "weft", "-B", "default"]
        printed = run(*default, *hidden, environment=environment, cwd=folder)
        check("left out for want of the headers of Boost" in printed, f"not said that tests are left out:\n{printed}")
        check(self.tests(folder / "default") > {"example.readme", "example.tree_walk"}, "examples are left out that need nothing")
        run(*default, "-DBUILD_TESTING=OFF", environment=environment, cwd=folder)
        check(not self.tests(folder / "default"), f"without tests there are {self.tests(folder / 'default')}")

    def tests(self, build):
        return set(re.findall(r"Test +#\d+: (\S+)", run(self.cache["CMAKE_CTEST_COMMAND"], "-N", "--test-dir", build)))

    def incomplete(self):
        """Without one package or several, as `hide` makes it: what needs it is left out, or refused."""
        hide = {
            "Boost": "-DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON",
            "CLI11": "-DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON",
            "Boost.Fiber": "-DWEFT_BOOST_fiber_a=",
            "Python 3": "-DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON",
            "EXPAT": "-DCMAKE_DISABLE_FIND_PACKAGE_EXPAT=ON",
            "SQLite3": "-DCMAKE_DISABLE_FIND_PACKAGE_SQLite3=ON",
            "OPENSSL": "-DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON",
            "LUA": "-DCMAKE_DISABLE_FIND_PACKAGE_Lua=ON",
            "ZSTD": "-DWEFT_ZSTD=",
        }
        several = [option for package, option in hide.items() if package != "Boost"]
        build = self.fresh("incomplete")
        printed = self.configure(ROOT, build, *several)
        for left_out in ("soak.*", "equivalence.*", "hardening.*", "unwind.step*", "example.unpack.*", "expat_await",
                         "sqlite_await", "openssl_bio", "lua_scripts", "zstd_pipe"):
            check(re.search(rf"weft: left out for want of .*: the .*{re.escape(left_out)}", printed),
                  f"it is not said that {left_out} is left out:\n{printed}")
        tests = self.tests(build)
        check({"unit.fiber", "unwind.walk", "example.qsort_await", "example.file_walk"} <= tests, f"there are only {tests}")
        check(not any(re.match(r"soak|equivalence|hardening|example\.unpack", test) for test in tests), f"there are {tests}")
        for package, option in hide.items():
            others = ["-U" + other[2:].partition("=")[0] for other in hide.values() if other != option]
            printed = self.configure(ROOT, build, *others, option, "-DWEFT_REQUIRE_TESTS=ON", fails=True)
            check(re.search(rf"weft cannot build .* without .*\b{package}\b.*Install what is missing", re.sub(r"\s+", " ", printed)),
                  f"it is not said that {package} is missing:\n{printed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("command", choices=["install", "consume", "pkg-config", "versions", "refuse", "alone", "incomplete"])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--emulator", default="")
    arguments, options = parser.parse_known_args()
    package = Package(arguments)
    try:
        match arguments.command, *arguments.words:
            case ["install"]:
                package.install()
            case ["consume", project, prints]:
                package.consume(project, prints, options)
            case ["pkg-config", prints]:
                package.pkg_config(prints)
            case ["versions"]:
                package.versions()
            case ["alone"]:
                package.alone()
            case ["incomplete"]:
                package.incomplete()
            case ["refuse", project, sentence]:
                package.refuse(project, sentence, options)
            case _:
                parser.error(f"{arguments.command} takes other words")
    except Failure as failure:
        print(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
