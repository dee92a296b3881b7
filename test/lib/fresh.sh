# shellcheck shell=bash
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# What README says, on a minimal Debian with nothing but a compiler and git: made by debootstrap from the mirror that
# this machine's apt uses, in a mount and process namespace of its own, so that whatever happens nothing stays mounted.

: "${root:?}"

readonly fresh_releases=(bookworm trixie sid)

run_fresh() { # releases; without any, all
    [[ $# -gt 0 ]] || set -- "${fresh_releases[@]}"
    [[ $EUID -eq 0 ]] || give_up "test/run fresh makes systems of their own, which only root can: run it as root."
    has_apt || give_up "test/run fresh takes the mirror that apt uses: run it on a Debian or Ubuntu."
    missing=()
    need_program debootstrap debootstrap
    need_program unshare util-linux
    install_missing
    local release
    for release; do fresh_release "$release"; done
}

# A line for each command. The tests of the consumers are a command of their own, because they are what a user meets first.
fresh_release() { # release
    local release=$1 system=$root/build/fresh/$1
    if ! step "fresh-$release" system make_fresh "$release" "$system"; then
        failed=$((failed + 1))
        summary+=("$(printf '%-21s %s' "$release" "could not be made")")
        return
    fi
    fresh_command "$release" demo test/run demo
    fresh_command "$release" native test/run native
    fresh_command "$release" package test/run package
    fresh_command "$release" bench bench/run --quick
}

fresh_command() { # release, name, command...
    local release=$1 name=$2 result=passed count
    shift 2
    if step "fresh-$release" "$name" in_fresh "$root/build/fresh/$release" "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        result=FAILED
    fi
    count=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$(log_file "fresh-$release-$name")" | tail -n 1) || true
    result+=${count:+ ($count)}
    summary+=("$(printf '%-21s %-21s %-48s %s' "$release" "$*" "$(fresh_versions "$root/build/fresh/$release")" "$result")")
}

make_fresh() { # release, folder
    local release=$1 system=$2
    rm -rf --one-file-system "$system"
    mkdir -p "$system"
    debootstrap --variant=minbase "$release" "$system" "$(apt_mirror)"
    cp /etc/resolv.conf "$system/etc/"
    apt-config dump Acquire >"$system/etc/apt/apt.conf.d/90acquire" # proxies, certificates, clocks
    in_fresh "$system" apt-get update -qq
    in_fresh "$system" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
        g++ git ca-certificates
    git clone --quiet --no-hardlinks "$root" "$system/root/weft"
}

apt_mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1
}

# Runs a command in weft's folder of such a system, as a user who has just cloned it.
in_fresh() { # folder, command...
    local system=$1
    shift
    # shellcheck disable=SC2016 # the inner shell expands them
    unshare --mount --pid --fork bash -c '
        system=$1
        shift
        mount --rbind /dev "$system/dev"
        mount --rbind /sys "$system/sys"
        mount -t proc proc "$system/proc"
        exec chroot "$system" "$@"' fresh "$system" \
        env --ignore-environment HOME=/root LANG=C.UTF-8 CI=true JOBS="$jobs" ${http_proxy+http_proxy="$http_proxy"} \
        ${https_proxy+https_proxy="$https_proxy"} PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        bash -c 'cd /root/weft 2>/dev/null; exec "$@"' fresh "$@"
}

# "GCC 14.2.0, Boost 1.83, CMake 3.31.6, gdb 16.3", as far as they are installed.
fresh_versions() { # folder
    # shellcheck disable=SC2016
    in_fresh "$1" bash -c '
        say() { [[ -z $2 ]] || printf "%s%s %s" "$comma" "$1" "$2"; comma=", "; }
        say GCC "$(g++ -dumpfullversion)"
        say Boost "$(sed -n "s/^#define BOOST_LIB_VERSION \"\(.*\)\"/\1/p" /usr/include/boost/version.hpp 2>/dev/null | tr _ .)"
        say CMake "$(cmake --version 2>/dev/null | sed -n "1s/^cmake version //p")"
        say gdb "$(gdb --version 2>/dev/null | sed -n "1s/.* //p")"'
}
