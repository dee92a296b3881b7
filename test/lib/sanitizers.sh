# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # missing is read in packages.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# HWAddressSanitizer is for 64-bit Arm: there it is Clang's own, elsewhere its runtime is fetched and run under emulation.
run_hwaddress() {
    local clang version runtime emulator=() packages=$root/build/hwaddress/packages fetch=$root/test/lib/fetch_packages
    clang=$(find_clang)
    version=$("$clang" -dumpversion | cut -d . -f 1)
    runtime=$("$clang" -print-resource-dir)/lib/linux
    missing=()
    need_program python3 python3
    need_program "ld.lld-$version" "lld-$version"
    need_program "llvm-symbolizer-$version" "llvm-$version" # its reports name functions by this one
    install_missing
    if [[ $(uname -m) != aarch64 ]]; then
        need_aarch64
        if ! has_apt && [[ ! -e $packages/complete ]]; then
            summary+=("$(printf '%-21s %s' hwaddress "NOT RUN: Clang's runtime for it is fetched with apt")")
            return
        fi
        [[ $packages/complete -nt $fetch ]] || step hwaddress fetch "$fetch" arm64 "$packages" "libclang-rt-$version-dev" ||
            give_up "Clang's runtime for 64-bit Arm could not be fetched; check the network and /etc/apt, then run this again."
        runtime=$packages/root/usr/lib/llvm-$version/lib/clang/$version/lib/linux
        emulator=(--emulator qemu-aarch64 -cpu max)
    fi
    add_report hwaddress python3 "$root/test/sanitizers/hwaddress.py" "$root/build/hwaddress" --clang "$clang" \
        --runtime "$runtime" --jobs "$jobs" "${emulator[@]}"
}
