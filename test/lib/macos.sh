# shellcheck shell=bash
# shellcheck disable=SC2034 # configure_options is read in platforms.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# test/run native on macOS: Apple's Clang, Homebrew's libraries, the tests of test/unit and the examples. The rest of
# the tests needs gdb or reads ELF: test/CMakeLists.txt leaves it out. The example unpack, which is compared with GNU
# tar, is left out because CLI11 is not asked for.

: "${root:?}" "${jobs:?}"

on_macos() {
    [[ $(uname -s) == Darwin ]]
}

run_on_macos() {
    need_homebrew
    # Homebrew is asked for Boost and OpenSSL alone.
    configure_options+=(-DWEFT_TEST_PACKAGE=OFF -DWEFT_REQUIRE_TESTS=OFF)
    platform native-clang -O2
    platform native-clang-debug -O0
}

need_homebrew() {
    local prefix formulas=(cmake ninja boost openssl@3)
    command -v brew >/dev/null ||
        give_up "Install Homebrew (https://brew.sh), which has ${formulas[*]}, then run this again."
    prefix=$(brew --prefix)
    if ! command -v cmake >/dev/null || ! command -v ninja >/dev/null ||
        [[ ! -e $prefix/include/boost/version.hpp || ! -d $prefix/opt/openssl@3 ]]; then
        say "installing ${formulas[*]}"
        brew install --quiet "${formulas[@]}" >"$(log_file install)" 2>&1 </dev/null || {
            cat "$(log_file install)" >&2
            give_up "Homebrew could not install ${formulas[*]}; install them, then run this again."
        }
    fi
    [[ -n $(find_clang) ]] ||
        give_up "The Clang found is too old: install Xcode 16 or later, or name a clang++ 16 or later in WEFT_CLANGXX."
    export CMAKE_PREFIX_PATH=$prefix:$prefix/opt/openssl@3
    use_ccache
}
