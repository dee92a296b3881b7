# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # missing is read in packages.sh, built and tests_result set in platforms.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# The tests of test/unwind and test/hardening alone.
run_hardening() {
    need_native
    need_aarch64
    need_proofs
    hardening_on native "-O2"
    hardening_on native-clang "-O2"
    hardening_on aarch64 "-O2"
    hardening_on aarch64-clang "-O2"
}

hardening_on() { # preset, how it is compiled
    local preset=$1 manner=$2 result="could not be built" programs=(unwind_walk unwind_step unwind_step_hardened)
    if [[ $preset == aarch64* ]]; then programs+=(hardened); fi
    if step "$preset" configure cmake --preset "$preset" &&
        step "$preset" build cmake --build --preset "$preset" --parallel "$jobs" --target "${programs[@]}"; then
        step "$preset" hardening ctest --preset "$preset" --tests-regex '^(unwind|hardening)\.' || true
        count_tests "$(log_file "$preset-hardening")"
        result=$tests_result
    else
        failed=$((failed + 1))
    fi
    summary+=("$(printf '%-21s %-13s %-32s %s' "$preset" "$(compiler_of "$preset")" "$manner" "$result")")
}

# The arguments go to the tool; without any, it takes a sample that is the same every time.
run_mutation() {
    need_native
    need_aarch64
    need_proofs
    local result log report=$root/build/mutation/killers.md
    mkdir -p "${report%/*}"
    if step mutation test python3 "$root/test/mutation/mutate.py" --jobs "$jobs" --report "$report" "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    log=$(log_file mutation-test)
    while read -r result; do
        summary+=("$(printf '%-21s %s' mutation "$result")")
    done < <(grep -E 'mutants killed|^SURVIVED' "$log")
    say "which test kills which instruction: $report"
}

need_proofs() { # debuggers, and what reads objects
    missing=()
    need_program python3 python3
    need_program gdb gdb
    need_program gdb-multiarch gdb-multiarch
    need_program readelf binutils
    install_missing
}

# The switches proven for all values (prove.py), and each place of programs where a compiler put the inline one.
run_proof() { # "sites" and programs, or options of prove.py
    if [[ ${1-} == sites ]]; then
        shift
        run_sites "$@"
        return
    fi
    need_native
    need_aarch64
    need_sites
    step proof prepare prepare_proof ||
        give_up "What test/proof/requirements.txt names could not be installed; check the network, then run this again."
    prove "$@"
    if [[ $# -eq 0 && -n $(compgen -G 'build/*/CMakeCache.txt') ]]; then read_built_programs; fi
}

prove() { # options of prove.py
    add_report proof "$root/build/proof/venv/bin/python" "$root/test/proof/prove.py" "$root/build/proof" \
        --jobs "$jobs" --sites "$sites" "$@"
}

# As a part of everything: what does not need the network is done without it, and the rest has failed. Programs are read
# first, on one processor, beside the last tests.
run_proof_with_everything() {
    need_sites
    read_built_programs
    if step proof prepare prepare_proof; then
        prove
    else
        failed=$((failed + 1))
        summary+=("$(printf '%-21s %s' proof \
            "FAILED: what test/proof/requirements.txt names could not be installed; check the network")")
    fi
}

prepare_proof() {
    local folder=$root/build/proof/venv packages=$root/test/proof/requirements.txt
    missing=()
    need_program python3 python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    install_missing
    [[ $folder/complete -nt $packages ]] || {
        python3 -m venv --clear "$folder" &&
            "$folder/bin/pip" install --quiet --retries 3 --requirement "$packages" && touch "$folder/complete"
    }
}

# Reads programs; without any, all that have been built. --build builds them first, in each way.
run_sites() { # programs, or --build
    need_sites
    case ${1-} in
        '') read_built_programs ;;
        --build) build_every_program ;;
        *) (cd "${working_folder:?}" && "$sites" "$@") || exit 1 ;;
    esac
}

readonly sites=$root/build/proof/sites # the program that reads them

need_sites() {
    local config
    missing=()
    need_program "$gxx" "${gxx##*/}"
    [[ -n $(find_llvm) ]] || missing+=(llvm-dev)
    install_missing
    config=$(find_llvm)
    [[ -n $config ]] || give_up "Install LLVM $oldest_llvm or later with its headers (llvm-dev), then run this again."
    mkdir -p "${sites%/*}"
    [[ $sites -nt $root/test/proof/sites.cpp ]] || step proof sites build_sites "$config" ||
        give_up "test/proof/sites.cpp could not be compiled with $config."
}

build_sites() { # llvm-config
    local libraries
    read -ra libraries <<<"$("$1" --link-shared --ldflags --libs | paste -s -d ' ' -)"
    "$gxx" -std=c++20 -O1 -Wall -Wextra -isystem "$("$1" --includedir)" "$root/test/proof/sites.cpp" \
        -Wl,-rpath,"$("$1" --libdir)" "${libraries[@]}" -o "$sites"
}

# Of the presets that this run has built, else of all that are there.
read_built_programs() {
    local presets=(${built[@]+"${built[@]}"}) cache preset count=0
    if [[ ${#presets[@]} -eq 0 ]]; then
        for cache in build/*/CMakeCache.txt; do
            if [[ -e $cache ]]; then presets+=("$(basename "${cache%/*}")"); fi
        done
    fi
    for preset in ${presets[@]+"${presets[@]}"}; do
        if grep -q '^WEFT_SWITCH:[A-Z]*=fcontext' "build/$preset/CMakeCache.txt"; then continue; fi
        read_programs_of "$preset" "build/$preset"
        count=$((count + 1))
    done
    if [[ $count -eq 0 ]]; then
        failed=$((failed + 1))
        summary+=("$(printf '%-21s %s' sites "FAILED: no program has been built; name some, or run test/run native first")")
    fi
}

read_programs_of() { # name, folder
    local programs=() file
    # objects and programs of CMake's own checks are left out
    while IFS= read -r -d '' file; do
        if [[ $(head -c 4 "$file" | tail -c 3) == ELF ]]; then programs+=("$file"); fi
    done < <(find "$2" -name CMakeFiles -prune -o -type f -perm -u+x -print0 | sort --zero-terminated)
    add_report "$1-sites" "$sites" --optional "${programs[@]}"
}

# Each compiler without optimization, and as it optimizes most. (What test/run builds is optimized by -O2.)
build_every_program() {
    need_native
    need_aarch64
    need_bench
    local preset
    for preset in native native-clang aarch64 aarch64-clang; do
        build_programs "$preset-O0" "$preset" "-O0 -g1"
        build_programs "$preset-O2" "$preset" "-O2 -g1 -DNDEBUG"
        build_programs "$preset-O3-lto" "$preset" "-O3 -g1 -DNDEBUG" -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON
    done
}

build_programs() { # name, preset, flags, options of CMake
    local name=$1 preset=$2 flags=$3 folder=build/sites/$1 bench=OFF linker=()
    shift 3
    if [[ $preset == native* ]]; then bench=ON; fi
    if [[ $preset == *clang && $name == *lto ]]; then linker=(-DCMAKE_EXE_LINKER_FLAGS_RELWITHDEBINFO=-fuse-ld=lld); fi
    if step "$name" configure cmake --preset "$preset" -B "$folder" "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=$flags" \
        -DWEFT_TEST_PACKAGE=OFF -DWEFT_TEST_DOCUMENTATION=OFF -DWEFT_TEST_COMPILER=OFF -DWEFT_TEST_THOROUGHLY=ON \
        -DWEFT_TEST_ADAPTERS=ON -DWEFT_BUILD_EXAMPLES=ON -DWEFT_BUILD_BENCH=$bench \
        -DCMAKE_VERIFY_INTERFACE_HEADER_SETS=OFF ${linker[@]+"${linker[@]}"} "$@" &&
        step "$name" build cmake --build "$folder" --parallel "$jobs"; then
        read_programs_of "$name" "$folder"
    else
        failed=$((failed + 1))
        summary+=("$(printf '%-21s %s' "$name" "could not be built")")
    fi
}
