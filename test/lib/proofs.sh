# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # missing is read in packages.sh, tests_result set in platforms.sh
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

# The switch proven for all values, by what stands in test/proof/requirements.txt.
run_proof() { # options of prove.py
    step proof prepare prepare_proof ||
        give_up "What test/proof/requirements.txt names could not be installed; check the network, then run this again."
    add_report proof "$root/build/proof/venv/bin/python" "$root/test/proof/prove.py" "$root/build/proof" \
        --jobs "$jobs" "$@"
}

# As a part of everything: it comes from the network, and where that cannot be had the rest is still worth running.
run_proof_if_it_can_be_had() {
    if step proof prepare prepare_proof; then
        run_proof
    else
        summary+=("$(printf '%-21s %s' proof "NOT RUN: its Python packages could not be installed")")
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
