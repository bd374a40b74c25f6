#!/usr/bin/env bash
# Prepares a Rust toolchain that can build for the browser (`cargo build --target wasm32-unknown-unknown`), from rustup or,
# where that fails, from Debian's packages.
#
#   toolchain=$(scripts/wasm-toolchain.sh) && eval "$toolchain"     (in two steps: `eval "$(...)"` hides a failure)
#
# 1. The active toolchain has the target's std already, or `rustup target add` can get it: nothing else to do.
# 2. Otherwise (no rustup, or its server cannot be reached): Debian's rustc-web packages (a current rustc, with the
#    matching library source) are unpacked with dpkg -x into a private prefix - never installed, so the system's and
#    rustup's rustc stay as they are - and std is built once from that source into the prefix's sysroot. After that no
#    -Z flag is needed. About 500 MB, and a minute and a half of one core.
#
# Standard output: only `export ...` lines to eval. Everything else goes to standard error.
# Env: WASM_PREFIX          where it is kept (default ~/.cache/wasm-toolchain)
#      WASM_FORCE_DEBIAN=1  skip 1, as .ci/run does: what CI uses then depends on no server of rustup's
#      WASM_RUSTUP_TIMEOUT  seconds (default 120)
set -euo pipefail
T=wasm32-unknown-unknown
PREFIX=${WASM_PREFIX:-${XDG_CACHE_HOME:-$HOME/.cache}/wasm-toolchain}
say() { printf 'wasm-toolchain: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has_std() { local d; d=$("$1" --print target-libdir --target $T 2>/dev/null) && compgen -G "$d/libstd-*.rlib" >/dev/null; }

# ---- 1. rustup -------------------------------------------------------------------------------------------
if [ -z "${WASM_FORCE_DEBIAN:-}" ]; then
  if has_std rustc; then say "std for $T is installed: $(rustc -V)"; exit 0; fi
  if command -v rustup >/dev/null; then
    if RUSTUP_MAX_RETRIES=1 timeout "${WASM_RUSTUP_TIMEOUT:-120}" rustup target add $T >&2 && has_std rustc; then
      say "rustup added $T: $(rustc -V)"; exit 0
    fi
    say "rustup target add failed; falling back to Debian's rustc-web"
  fi
fi

# ---- 2. Debian -------------------------------------------------------------------------------------------
for c in apt-get apt-cache dpkg dpkg-deb cargo; do command -v $c >/dev/null || die "the command $c is missing"; done
export LC_ALL=C
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
cand() { apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)" {print $2}'; }
# rustc-web comes in Debian's security updates: lists that lack those name none, or one that is too old
WANTED=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml")
new_enough() { [ "$(printf '%s\n' "$WANTED" "$1" | sort -V | head -n1)" = "$WANTED" ]; }
V=$(cand rustc-web)
new_enough "$V" || { say "updating the lists of packages (apt-get update)"; root apt-get update -qq -o DPkg::Lock::Timeout=300 >&2; V=$(cand rustc-web); }
new_enough "$V" || die "rustc $WANTED or newer is needed, this Debian's rustc-web is ${V:-not there}"
SRCV=$(cand rust-web-src); [ "$SRCV" = "$V" ] || die "the packages rust-web-src ($SRCV) and rustc-web ($V) need the same version"
dep() { apt-cache show "$1=$2" | sed -n 's/^Depends: //p' | head -1 | tr ',|' '\n' | sed 's/^ *//; s/ .*//' | grep -E "$3" | head -1; }
STD=$(dep libstd-rust-web-dev "$V" '^libstd-rust-web-[0-9]'); [ -n "$STD" ] || die "cannot find which libstd-rust-web-N package libstd-rust-web-dev needs"
LLVM=$(dep "$STD" "$V" '^libllvm[0-9]'); N=${LLVM#libllvm}; N=${N%%[!0-9]*}
P=$PREFIX/debian-$(printf %s "$V" | tr -c 'A-Za-z0-9.+~\n-' _)
ARCH=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)

# shellcheck disable=SC2016 # the wrapper is to expand them
wrapper() { # the unpacked binaries look for their libraries in the system's folders: tell them
  mkdir -p "$P/bin"
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "%s" "$@"\n' "$P/usr/lib/$ARCH" "$P/usr/bin/$1" >"$P/bin/$1"
  chmod +x "$P/bin/$1"
}

if [ ! -e "$P/.complete" ]; then
  mkdir -p "$PREFIX"
  exec 9>"$PREFIX/.lock"; ! command -v flock >/dev/null || flock 9
fi
# another run may have built it while this one waited for the lock
if [ ! -e "$P/.complete" ]; then
  rm -rf "$P"; mkdir -p "$P/debs"
  say "downloading rustc-web $V, $STD, $LLVM, lld-$N"
  # apt-get download warns that root downloads "unsandboxed": nobody needs to read that
  { cd "$P/debs"; apt-get download -qq "rustc-web=$V" "libstd-rust-web-dev=$V" "$STD=$V" "rust-web-src=$V" "$LLVM" "lld-$N" 2>&1; } |
    grep -v unsandboxed >&2 || true
  debs=("$P"/debs/*.deb)
  if [ "${#debs[@]}" != 6 ]; then
    [ -z "${WASM_LISTS_ARE_NEW:-}" ] || die "could not download the packages"
    say "could not download the packages: once more with new lists (apt-get update)"
    root apt-get update -qq -o DPkg::Lock::Timeout=300 >&2
    WASM_LISTS_ARE_NEW=1 exec "${BASH_SOURCE[0]}"
  fi
  for d in "${debs[@]}"; do
    case $d in
      */rust-web-src_*) # 342 MB unpacked: take the library only
        dpkg-deb --fsys-tarfile "$d" | tar -x -C "$P" --wildcards --exclude='*/library/vendor' './usr/src/rustc-*/library' './usr/lib/rustlib/src/*' ;;
      *) dpkg -x "$d" "$P" ;;
    esac
  done
  rm -rf "$P/debs"
  wrapper rustc; wrapper rustdoc
  missing=$(LD_LIBRARY_PATH=$P/usr/lib/$ARCH ldd "$P"/usr/bin/rustc "$P"/usr/lib/"$ARCH"/librustc_driver-*.so "$P"/usr/lib/"$ARCH"/libLLVM*.so* | awk '/not found/ {print $1}' | sort -u)
  if [ -n "$missing" ]; then
    say "installing what LLVM needs (missing: ${missing//$'\n'/ })"
    mapfile -t needed < <(apt-cache show "$LLVM" | sed -n 's/^Depends: //p' | head -1 | tr ',' '\n' | sed 's/^ *//; s/ .*//')
    root apt-get install -y -qq --no-install-recommends "${needed[@]}" >&2
  fi
  "$P/bin/rustc" -V >&2 || die "the unpacked rustc does not run"
  # rustc looks for its linker, rust-lld, in its own sysroot
  HOST=$("$P/bin/rustc" -vV | sed -n 's/^host: //p')
  B=$P/usr/lib/rustlib/$HOST/bin; mkdir -p "$B"; ln -sf "$P/usr/lib/llvm-$N/bin/lld" "$B/rust-lld"
  # build std once, with cargo's own build-std, and put it where rustc looks for a target's std
  W=$P/build-std; mkdir -p "$W/src"; echo >"$W/src/lib.rs"
  printf '[package]\nname = "sysroot-seed"\nversion = "0.0.0"\nedition = "2021"\n[profile.release]\npanic = "abort"\n[workspace]\n' >"$W/Cargo.toml"
  say "building std for $T (once)"
  (cd "$W" && env -u CARGO_BUILD_TARGET -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER -u RUSTUP_TOOLCHAIN \
     RUSTC="$P/bin/rustc" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$W/target" CARGO_INCREMENTAL=0 \
     RUSTFLAGS="--remap-path-prefix=$P/usr/lib/rustlib/src/rust=/rustc" \
     cargo build -q --release --target $T -Z build-std=std,panic_abort,proc_macro,test >&2)
  L=$P/usr/lib/rustlib/$T/lib; mkdir -p "$L"
  find "$W/target/$T/release/deps" -name 'lib*.rlib' ! -name 'libsysroot_seed*' -exec cp {} "$L/" \;
  rm -rf "$W" "${P:?}/usr/src" "${P:?}/usr/lib/rustlib/src" "${P:?}/usr/share"
  has_std "$P/bin/rustc" || die "no std came out of the build"
  touch "$P/.complete"
fi
say "using $("$P/bin/rustc" -V), Debian's, in $P"
# its artefacts and the usual rustc's do not mix: a target folder of its own keeps both caches warm
printf 'export RUSTC=%q RUSTDOC=%q CARGO_TARGET_DIR=%q\n' "$P/bin/rustc" "$P/bin/rustdoc" "${CARGO_TARGET_DIR:-$PWD/target}/debian-wasm"
