# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # missing is read in packages.sh
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

: "${root:?}" "${jobs:?}"

# A program and the library's sources, compiled and run once for each odd build.
run_builds() {
    local clang packages=$root/build/builds/packages fetch=$root/test/lib/fetch_packages
    need_native
    need_aarch64
    clang=$(find_clang)
    need_for_builds "$("$clang" -dumpversion | cut -d . -f 1)"
    add_report builds python3 "$root/test/builds/builds.py" "$root/build/builds" --gcc "$gxx" --clang "$clang" \
        --packages "$packages" --jobs "$jobs"
}

# LLVM's C++ library is unpacked beside what is installed, as its packages replace other ones.
need_for_builds() { # version of Clang
    local architecture
    missing=()
    need_program python3 python3
    need_program "ld.lld-$1" "lld-$1"
    need_program "llvm-ar-$1" "llvm-$1"
    need_program i686-linux-gnu-g++ g++-i686-linux-gnu
    need_program qemu-i386 qemu-user
    install_missing
    has_apt || [[ -e $packages/libcxx/complete && -e $packages/i386/complete ]] ||
        give_up "Unpack Clang's libc++ under $packages/libcxx/root and the i386 package of Boost.Context under" \
            "$packages/i386/root, create a file named complete beside each root, then run this again."
    architecture=$(! has_apt || dpkg --print-architecture)
    [[ $packages/libcxx/complete -nt $fetch ]] ||
        step builds libcxx "$fetch" "$architecture" "$packages/libcxx" \
            "libc++-$1-dev" "libc++1-$1" "libc++abi-$1-dev" "libc++abi1-$1" ||
        give_up "The packages of Clang's libc++ could not be fetched; check the network and /etc/apt, then run this again."
    [[ $packages/i386/complete -nt $fetch ]] ||
        step builds i386 "$fetch" i386 "$packages/i386" libboost-context@-dev ||
        give_up "The i386 package of Boost.Context could not be fetched; check the network and /etc/apt, then run this again."
}
