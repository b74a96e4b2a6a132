#!/usr/bin/env bash
# Part of scripts/numa-vm: the initramfs, which holds busybox, the program with the libraries it links, and an init.
# shellcheck disable=SC2154 # set by scripts/numa-vm

put() { # FILE: at its own place
  [ ! -e "$root$1" ] || return 0
  mkdir -p "$root$(dirname "$1")"
  cp -Lp "$1" "$root$1"
}

add() { # FILE: and the libraries that it links
  local library
  put "$1"
  [ "$(head -c 4 "$1" | tr -d '\0')" = $'\x7fELF' ] || return 0
  while read -r library; do
    [[ $library == /* ]] || die "$1 needs $library, which is not on this machine"
    put "$library"
  done < <(ldd "$1" 2>/dev/null | sed -n 's/^\s*\(.*\) => not found.*/\1/p; s/^\s*\(.* => \)\?\(\/.*\) (0x.*/\2/p')
}

quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; } # as the shell of the guest reads it

# What init sources: settings, and the program as a function.
write_job() { # PROGRAM [ARGUMENT…]
  local variable name value word
  printf 'limit=%s\noffline=%s\njob() {\n' "$limit" "$(quote "$offline")"
  printf 'export HOME=/root PATH=/usr/sbin:/usr/bin NUMA_VM=1\n'
  for variable in $(compgen -e | grep -E '^((RUST|HEIST)_[A-Z_]+|CARGO_MANIFEST_DIR|LD_LIBRARY_PATH)$') "${variables[@]}"; do
    name=${variable%%=*}
    [[ $name =~ ^[A-Za-z_][A-Za-z_0-9]*$ ]] || die "--env takes K or K=V, not '$variable'"
    if [[ $variable == *=* ]]; then value=${variable#*=}; else value=${!name-}; fi
    printf 'export %s=%s\n' "$name" "$(quote "$value")"
  done
  printf 'cd %s\nexec' "$(quote "$PWD")"
  for word in "$@"; do printf ' %s' "$(quote "$word")"; done
  printf '\n}\n'
}

make_image() { # PROGRAM [ARGUMENT…]
  local program folder copy file
  program=$(type -P -- "$1") || die "no program $1"
  program=$(realpath -s -- "$program")
  root=$work/root
  mkdir -p "$root"/{proc,sys,dev,tmp,root,etc,run,var/tmp,usr/{bin,sbin,lib,lib64}} "$root$PWD"
  for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
  cp -L "$(command -v busybox)" "$root/bin/busybox"
  cp "$guest/init" "$root/init"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
  printf '127.0.0.1 localhost numa-vm\n' >"$root/etc/hosts"
  cp /etc/ld.so.cache "$root/etc/" # libraries lie where they lie here
  add "$program"
  for copy in "${copies[@]}"; do
    copy=$(realpath -s -- "$copy")
    [ -e "$copy" ] || die "--copy: there is no $copy"
    [ ! -d "$copy" ] || mkdir -p "$root$copy"
    while IFS= read -r -d '' file; do add "$file"; done < <(find -L "$copy" -type f -print0)
  done
  write_job "$program" "${@:2}" >"$root/job"
  (cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"
  rm -rf "$root"
}
