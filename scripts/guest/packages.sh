#!/usr/bin/env bash
# Part of scripts/numa-vm: QEMU, busybox, cpio and a kernel. Debian's packages; the kernel is kept in the user's cache.

is_static() { [ -n "$1" ] && [[ $(ldd "$1" 2>/dev/null) != *'=>'* ]]; }

need_emulator() {
  local missing=()
  [ "$(uname -m)" = x86_64 ] || die "the guest is x86_64, and runs programs of this machine, $(uname -m)"
  command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
  is_static "$(command -v busybox)" || missing+=(busybox-static)
  command -v cpio >/dev/null || missing+=(cpio)
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}" || die "these are needed: ${missing[*]}"
}

newest_kernel() {
  { apt-cache depends linux-image-cloud-amd64 2>/dev/null || true; } |
    sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# Lists that are old may know no kernel, or one that is gone: then they are renewed.
fetch_kernel() { # INTO
  local folder package renewed
  folder=$(mktemp -d "$(dirname "$1")/fetch.XXXXXX")
  for renewed in '' yes; do
    [ -z "$renewed" ] || as_root apt-get update -qq >&2 || true
    package=$(newest_kernel)
    if [ -n "$package" ] && (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "$package" >&2) &&
      (cd "$folder" && dpkg-deb -x ./*.deb . && mv boot/vmlinuz-* "$1"); then
      break
    fi
  done
  rm -rf "$folder"
  [ -s "$1" ] || die 'could not fetch the package linux-image-cloud-amd64; NUMA_VM_KERNEL may name a bzImage'
}

# Sets `kernel`. One call at a time installs and fetches.
find_kernel() {
  local cache=${NUMA_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/numa-vm}
  mkdir -p "$cache"
  kernel=${NUMA_VM_KERNEL:-$cache/vmlinuz}
  exec 9>"$cache/lock"
  flock 9
  need_emulator
  if [ ! -s "$kernel" ]; then
    [ -z "${NUMA_VM_KERNEL:-}" ] || die "no kernel at $kernel"
    fetch_kernel "$kernel"
  fi
  exec 9>&-
}
