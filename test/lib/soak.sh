# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# [--seconds N] [--seed S] [--aarch64]; other options go to the program.
run_soak() {
    local preset=native argument
    local -a options=()
    for argument; do
        case $argument in
            --aarch64) preset=aarch64 ;;
            *) options+=("$argument") ;;
        esac
    done
    if [[ $preset == aarch64 ]]; then need_aarch64; else need_native; fi
    step "$preset" configure cmake --preset "$preset"
    step "$preset" build cmake --build --preset "$preset" --parallel "$jobs" --target soak
    if [[ $preset == aarch64 ]]; then
        qemu-aarch64 -cpu max "$root/build/aarch64/test/soak/soak" "${options[@]}"
    else
        "$root/build/native/test/soak/soak" "${options[@]}"
    fi
}
