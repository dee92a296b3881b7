# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rm, rmdir
from conan.tools.scm import Version

required_conan_version = ">=2.0"


class WeftConan(ConanFile):
    name = "weft"
    description = "Stackful bodies for any C++20 coroutine type"
    license = "BSL-1.0"
    topics = ("coroutine", "fiber", "context-switch", "aarch64")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "switch": ["native", "fcontext"],
        "asio": [True, False],
        "senders": [True, False],
        "fcontext": [True, False],
    }
    default_options = {
        "shared": False,
        "fPIC": True,
        "switch": "native",
        "asio": False,
        "senders": False,
        "fcontext": False,
    }
    implements = ["auto_shared_fpic"]

    oldest_compilers = {"gcc": "12", "clang": "16", "apple-clang": "15", "msvc": "193"}

    @property
    def has_native_switch(self):
        return self.settings.os != "Windows" and self.settings.arch in ("armv8", "armv8.3", "x86_64")

    def set_version(self):
        top = load(self, Path(self.recipe_folder, "..", "CMakeLists.txt"))
        self.version = re.search(r"VERSION (\d+\.\d+\.\d+)$", top, re.MULTILINE).group(1)

    def export_sources(self):
        top = Path(self.recipe_folder, "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "lib/*"):
            copy(self, pattern, src=top, dst=self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def config_options(self):
        if self.settings.os == "Windows":
            del self.options.fPIC
        if not self.has_native_switch:
            self.options.switch = "fcontext"

    def requirements(self):
        if self.options.asio or self.options.switch == "fcontext":
            self.requires("boost/[>=1.81]", transitive_headers=True, transitive_libs=True)
        if self.options.senders:
            self.requires("stdexec/[>=2026.5]", transitive_headers=True)

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.25]")

    def validate(self):
        check_min_cppstd(self, 20)
        oldest = self.oldest_compilers.get(str(self.settings.compiler))
        if oldest and Version(self.settings.compiler.version) < oldest:
            raise ConanInvalidConfiguration(f"weft needs {self.settings.compiler} {oldest} or later.")
        if self.options.switch == "native" and not self.has_native_switch:
            raise ConanInvalidConfiguration(
                f"weft has no assembly for {self.settings.os} on {self.settings.arch}: use -o 'weft/*:switch=fcontext'.")
        if self.options.switch == "fcontext" and self.options.fcontext:
            raise ConanInvalidConfiguration(
                "The option fcontext puts weft's own switch under Boost's names, so it needs -o 'weft/*:switch=native'.")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["WEFT_BUILD_TESTS"] = False
        toolchain.cache_variables["WEFT_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["WEFT_INSTALL"] = True
        toolchain.cache_variables["WEFT_ASIO"] = "OFF"  # these two are headers, and the components below
        toolchain.cache_variables["WEFT_SENDERS"] = "OFF"
        toolchain.cache_variables["WEFT_SWITCH"] = str(self.options.switch)
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=Path(self.package_folder, "licenses"))
        rmdir(self, Path(self.package_folder, "lib", "cmake"))
        rmdir(self, Path(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, Path(self.package_folder, "share"))
        if not self.options.fcontext:
            rm(self, "*weft_fcontext.*", Path(self.package_folder, "lib"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "weft")
        self.cpp_info.set_property("cmake_target_name", "weft::everything")

        library = self.component("weft")
        library.libs = ["weft"]
        if self.settings.os in ("Linux", "FreeBSD"):
            library.system_libs = ["pthread"]
        if not self.options.shared:
            library.defines.append("WEFT_STATIC=1")
        if self.options.switch == "fcontext":
            library.defines.append("WEFT_SWITCH_FCONTEXT=1")
            self.add_dependency(library, "boost", "context", ["boost_context"])
        if self.options.asio:
            self.add_dependency(self.component("asio", ["weft"]), "boost", "headers")
        if self.options.senders:
            self.add_dependency(self.component("senders", ["weft"]), "stdexec", "stdexec")
        if self.options.fcontext:
            fcontext = self.component("fcontext")
            fcontext.libs = ["weft_fcontext"]
            prefix = "_" if self.settings.os == "Macos" else ""
            fcontext.exelinkflags = fcontext.sharedlinkflags = [f"-Wl,-u,{prefix}jump_fcontext"]

    def component(self, name, requires=()):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"weft::{name}")
        component.set_property("pkg_config_name", name if name == "weft" else f"weft-{name}")
        component.requires = list(requires)
        return component

    def add_dependency(self, component, package, part, system_libs=()):
        if package in self.dependencies:
            component.requires.append(f"{package}::{part}")
        else:  # the system's, by a profile's [platform_requires]
            component.system_libs.extend(system_libs)
