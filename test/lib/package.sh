# shellcheck shell=bash
# shellcheck disable=SC2154 # missing is read in packages.sh, tests_result set in platforms.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# The tests of test/package alone.
run_package() {
    need_native
    need_aarch64
    need_proofs
    need_package
    package_on native "-O2"
    package_on native-clang "-O2"
    package_on native-fcontext "-O2, Boost.Context"
    package_on aarch64 "-O2"
}

need_package() {
    missing=()
    need_program python3 python3
    need_program pkg-config pkg-config
    need_program nm binutils
    need_clang_sanitizers # of which test/mixtures makes programs
    install_missing
}

package_on() { # preset, how it is compiled
    local preset=$1 manner=$2 result="could not be built"
    if step "$preset" configure cmake --preset "$preset" &&
        step "$preset" build cmake --build --preset "$preset" --parallel "$jobs" --target lib/all; then
        step "$preset" package ctest --preset "$preset" --parallel "$jobs" --tests-regex '^package\.' || true
        count_tests "$(log_file "$preset-package")"
        result=$tests_result
    else
        failed=$((failed + 1))
    fi
    summary+=("$(printf '%-21s %-13s %-32s %s' "$preset" "$(compiler_of "$preset")" "$manner" "$result")")
}

run_conan() {
    add_report conan "$root/conan/run"
}

# As a part of everything: Conan comes from the network, and where that cannot be had the rest is still worth running.
run_conan_if_it_can_be_had() {
    if step conan prepare "$root/conan/run" --install; then
        run_conan
    else
        summary+=("$(printf '%-21s %s' conan "NOT RUN: Conan could not be installed")")
    fi
}

# macOS and musl, by Zig's Clang, which has their headers and libraries.
run_platforms() {
    local folder=$root/build/platforms
    missing=()
    need_program python3 python3
    need_program qemu-aarch64 qemu-user
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    install_missing
    [[ -e $folder/venv/complete ]] || step platforms install install_zig "$folder/venv" ||
        give_up "Zig could not be installed; check the network, then run this again."
    export ZIG_GLOBAL_CACHE_DIR=$folder/cache ZIG_LOCAL_CACHE_DIR=$folder/cache
    add_report platforms python3 "$root/test/platforms/cross.py" "$folder" --zig "$folder/venv/bin/python -m ziglang"
}

install_zig() { # folder
    python3 -m venv --clear "$1" && "$1/bin/pip" install --quiet --retries 3 ziglang && touch "$1/complete"
}

# Runs a command and puts its lines about what was done into the summary.
add_report() { # name, command...
    local name=$1 line
    shift
    if step "$name" test "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    while read -r line; do
        summary+=("$(printf '%-21s %s' "$name" "${line#"$name "}")")
    done < <(grep -E '^(conan |builds |proof |sites: |hwaddress |FAILED |musl |macOS |Linux and |on Boost )' "$(log_file "$name-test")")
}
