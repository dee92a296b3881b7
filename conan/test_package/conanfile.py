# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout


class WeftTestConan(ConanFile):
    settings = "os", "arch", "compiler", "build_type"
    generators = "CMakeDeps"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        weft = self.dependencies["weft"]
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False
        toolchain.cache_variables["WEFT_VERSION"] = str(weft.ref.version)
        for component in ("asio", "senders", "fcontext"):
            toolchain.cache_variables[component] = bool(weft.options.get_safe(component))
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        if can_run(self):
            CMake(self).ctest(["--output-on-failure"])
