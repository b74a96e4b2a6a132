#!/usr/bin/env bash
# Sourced by every script here: stops at the first error, goes to the repository's root, and says what they share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() { # PACKAGE…
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; }; then
    say "install what stands for: $*"
    return 3
  fi
  say "installing $*"
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=600 --no-install-recommends "$@" \
    </dev/null >/dev/null
}

need_packages() { # the package of each command that is not there
  local missing=()
  command -v cc >/dev/null || missing+=(build-essential)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

has_hwloc() { cc -E -include hwloc.h -x c /dev/null >/dev/null 2>&1; }

# Sets `features` to cargo's words for all features, less those whose library is not installed.
choose_features() {
  features=(--all-features)
  has_hwloc && return
  say "without hwloc, the tests of the feature hwloc are left out (Debian: apt-get install libhwloc-dev)"
  features=(--features heist/cli,heist/io,heist/ranks)
}

need_mpi() { # the launchers of OpenMPI and of MPICH
  local missing=()
  command -v mpirun >/dev/null || missing+=(openmpi-bin)
  command -v mpirun.mpich >/dev/null || missing+=(mpich)
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# What Slurm's plugin for PMIx opens, which its package does not ask for. A Slurm that is up must be started anew to see it.
need_pmix() {
  local there=(/usr/lib/*/pmix2/lib/libpmix.so)
  [ -e "${there[0]}" ] || install_packages libpmix-dev
}

# The least Rust that builds heist, from Cargo.toml.
least_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

rust_is_new_enough() {
  local have
  have=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$(least_rust)" "${have%%-*}" | sort -V | head -n 1)" = "$(least_rust)" ]
}

need_rust() {
  command -v rustc >/dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  rust_is_new_enough && return
  if ! command -v rustup >/dev/null; then
    say "heist needs Rust $(least_rust) or newer: get rustup from https://rustup.rs"
    return 3
  fi
  # Installs stable or brings it up to date. An older default of the user's stays as it is; these scripts pass it over.
  say "installing stable Rust ($(least_rust) or newer is needed)"
  rustup toolchain install stable --profile minimal --no-self-update
  rustup default >/dev/null 2>&1 || rustup default stable
  export RUSTUP_TOOLCHAIN=stable
  rust_is_new_enough || { say "stable is $(rustc --version), which is too old"; return 3; }
}

# A C compiler and a new enough Rust. Installs only what is missing, so it is quiet on a machine that is set up.
set_up() {
  need_packages
  need_rust
}

need_component() { # rustfmt or clippy
  cargo "${1#rust}" --version >/dev/null 2>&1 || rustup component add "$1"
}

# Runs a test command, and fails when it ran no test at all: a filter that matches nothing is not a pass.
at_least_one_test() {
  local log rc=0 ran
  log=$(mktemp)
  "$@" 2>&1 | tee "$log" || rc=$?
  ran=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$log" | awk '{n += $1 + $2} END {print n + 0}')
  rm -f "$log"
  [ "$rc" = 0 ] || return "$rc"
  [ "$ran" -gt 0 ] || { say "no test ran: $*"; return 1; }
}

# One stage of scripts/ci or scripts/nightly: `stage NAME COMMAND…` prints the name and the time, and keeps both for `summary`.
stages=()
stage() {
  local name=$1 start=$SECONDS rc=0
  shift
  printf '\n==> %s: %s\n' "$name" "$*"
  "$@" || rc=$?
  local took=$((SECONDS - start)) word=ok
  [ "$rc" = 0 ] || word="FAILED ($rc)"
  stages+=("$(printf '%-12s %4d s  %s' "$name" "$took" "$word")")
  printf '<== %s: %s after %d s\n' "$name" "$word" "$took"
  return "$rc"
}

summary() {
  printf '\n'
  printf '%s\n' "${stages[@]}"
  printf '%-12s %4d s\n' 'in all' "$SECONDS"
}
