# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # missing is read in packages.sh, tests_result set in platforms.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# The tests of test/equivalence alone, or with --seconds N a search for new programs.
run_equivalence() {
    case "${1-} ${2-}" in
        " ")
            need_native
            need_aarch64
            equivalence_on native "-O2"
            equivalence_on native-clang "-O2"
            equivalence_on aarch64 "-O2"
            equivalence_on aarch64-clang "-O2"
            ;;
        "--seconds "[1-9]*)
            need_native
            need_fuzzer
            fuzz "$2"
            ;;
        *) give_up "test/run equivalence takes nothing, or --seconds and a number." ;;
    esac
}

equivalence_on() { # preset, how it is compiled
    local preset=$1 manner=$2 result="could not be built"
    if step "$preset" configure cmake --preset "$preset" &&
        step "$preset" build cmake --build --preset "$preset" --parallel "$jobs" --target equivalence; then
        step "$preset" equivalence ctest --preset "$preset" --tests-regex '^equivalence\.' || true
        count_tests "$(log_file "$preset-equivalence")"
        result=$tests_result
    else
        failed=$((failed + 1))
    fi
    summary+=("$(printf '%-21s %-13s %-32s %s' "$preset" "$(compiler_of "$preset")" "$manner" "$result")")
}

need_fuzzer() { # libFuzzer comes in a package of its own
    local clang
    clang=$(find_clang)
    echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
        "$clang" -fsanitize=fuzzer -x c++ - -o /dev/null 2>/dev/null && return
    missing=("libclang-rt-$("$clang" -dumpversion | cut -d . -f 1)-dev")
    install_missing
}

# Programs that reach something new are left in build/equivalence/new.
fuzz() { # seconds
    local folder=$root/build/equivalence corpus=$root/test/equivalence/corpus
    local fuzzer=$root/build/native-clang/test/equivalence/equivalence_fuzzer program new=0
    mkdir -p "$folder"/{found,merged,new}
    rm -f "$folder"/{merged,new}/*
    cp "$corpus"/* "$folder/merged"
    step native-clang configure cmake --preset native-clang
    step native-clang build cmake --build --preset native-clang --parallel "$jobs" --target equivalence_fuzzer
    step equivalence fuzz "$fuzzer" "-max_total_time=$1" -max_len=400 "-artifact_prefix=$folder/" "$folder/found" "$corpus" ||
        give_up "A program on which the backends differ is in $folder; build/native/test/equivalence/equivalence_replay runs it."
    step equivalence merge "$fuzzer" -merge=1 -use_counters=0 "$folder/merged" "$folder/found"
    for program in "$folder"/merged/*; do
        [[ -e $corpus/${program##*/} ]] && continue
        cp "$program" "$folder/new"
        new=$((new + 1))
    done
    sed -n -E -e 's/^Done ([0-9]+) runs in ([0-9]+) second.*/\1 executions in \2 s/p' \
        -e '/programs, each on/,/operations covered/p' "$(log_file equivalence-fuzz)"
    echo "$new new corpus entries in $folder/new"
}
