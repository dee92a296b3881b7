# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain
from conan.tools.files import copy, load, rmdir
from conan.tools.scm import Version

required_conan_version = ">=2.0"


class WeftConan(ConanFile):
    name = "weft"
    description = "Stackful bodies for any C++20 coroutine type"
    license = "BSL-1.0"
    topics = ("coroutine", "fiber", "context-switch", "aarch64")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "switch": ["native", "fcontext"]}
    default_options = {"shared": False, "fPIC": True, "switch": "native"}
    implements = ["auto_shared_fpic"]

    oldest_compilers = {"gcc": "12", "clang": "16", "apple-clang": "15", "msvc": "193"}

    @property
    def has_native_switch(self):
        return self.settings.os != "Windows" and self.settings.arch in ("armv8", "armv8.3", "x86_64")

    @property
    def boost_is_of_the_system(self):  # a profile's [platform_requires]
        return not any(dependency.package_folder for dependency in self.dependencies.values())

    def set_version(self):
        top = load(self, Path(self.recipe_folder, "..", "CMakeLists.txt"))
        self.version = re.search(r"VERSION (\d+\.\d+\.\d+)$", top, re.MULTILINE).group(1)

    def export_sources(self):
        top = Path(self.recipe_folder, "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "include/*", "lib/*"):
            copy(self, pattern, src=top, dst=self.export_sources_folder)

    def config_options(self):
        if self.settings.os == "Windows":
            del self.options.fPIC
        if not self.has_native_switch:
            self.options.switch = "fcontext"

    def requirements(self):
        if self.options.switch == "fcontext":
            self.requires("boost/[>=1.81]", transitive_headers=True, transitive_libs=True)

    def validate(self):
        check_min_cppstd(self, 20)
        oldest = self.oldest_compilers.get(str(self.settings.compiler))
        if oldest and Version(self.settings.compiler.version) < oldest:
            raise ConanInvalidConfiguration(f"weft needs {self.settings.compiler} {oldest} or later.")
        if self.options.switch == "native" and not self.has_native_switch:
            raise ConanInvalidConfiguration(
                f"weft has no assembly for {self.settings.os} on {self.settings.arch}: use -o 'weft/*:switch=fcontext'.")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["WEFT_BUILD_TESTS"] = False
        toolchain.cache_variables["WEFT_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["WEFT_INSTALL"] = True
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
        rmdir(self, Path(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "weft")
        self.cpp_info.set_property("cmake_target_name", "weft::weft")
        self.cpp_info.libs = ["weft"]
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
        if self.options.switch == "fcontext":
            self.cpp_info.defines = ["WEFT_SWITCH_FCONTEXT=1"]
            if self.boost_is_of_the_system:
                self.cpp_info.system_libs.append("boost_context")
            else:
                self.cpp_info.requires = ["boost::context"]
