#!/usr/bin/env bash
# Part of scripts/numa-vm: QEMU's command line, one run of it, and what came of it.
# shellcheck disable=SC2154 # set by scripts/numa-vm

distance() { # FROM TO ALL
  local hops=$(($1 > $2 ? $1 - $2 : $2 - $1)) rows row
  if [ -z "$distances" ]; then
    printf '%s' $((10 + 10 * (hops * 2 <= $3 ? hops : $3 - hops)))
  elif [[ $distances =~ ^[0-9]+$ ]]; then
    printf '%s' $((hops == 0 ? 10 : distances))
  else
    IFS=';' read -ra rows <<<"$distances"
    IFS=', ' read -ra row <<<"${rows[$1]-}"
    [[ ${row[$2]-} =~ ^[0-9]+$ ]] || die "--dist has no number from domain $1 to $2, of $3"
    printf '%s' "${row[$2]}"
  fi
}

# The memory of domain I in bytes. The image lies in memory twice while the kernel unpacks it, within one domain.
bytes() { # I
  local size image
  size=$(numfmt --from=iec "$(nth "$memory" "$1")") || die "--mem-per-node takes sizes as 256M or 1G, not '$memory'"
  if ((size == 0 && $1 > 0)); then
    printf 0
    return
  fi
  ((size >= 128 << 20)) || die 'a domain needs 128M, or 0 if it is not the first'
  image=$(stat -c %s "$work/initrd")
  ((size >= 3 * image)) || size=$((3 * image + (64 << 20)))
  printf '%s' $((size >> 20 << 20))
}

# Sets `machine`.
describe_machine() {
  local all=$((nodes + cpuless)) cpu=0 total=0 from to here size value words
  if [ -z "$sockets" ]; then
    if [[ $cores == *,* ]]; then sockets=1; else sockets=$nodes; fi
  fi
  whole --sockets "$sockets" 1
  machine=()
  for ((from = 0; from < all; from++)); do
    size=$(bytes "$from")
    total=$((total + size))
    here=''
    if ((from < nodes)); then
      to=$((cpu + $(nth "$cores" "$from") * threads))
      here=,cpus=$cpu-$((to - 1))
      cpu=$to
    fi
    if ((size == 0)); then
      machine+=(-numa "node,nodeid=$from$here")
    else
      machine+=(-object "memory-backend-ram,id=memory$from,size=$size" -numa "node,nodeid=$from,memdev=memory$from$here")
    fi
  done
  ((cpu % (sockets * threads) == 0)) || die "$((cpu / threads)) cores do not spread evenly over $sockets packages"
  for ((from = 0; from < all; from++)); do
    for ((to = 0; to < all; to++)); do
      value=$(distance "$from" "$to" "$all")
      machine+=(-numa "dist,src=$from,dst=$to,val=$value")
    done
  done
  machine+=(-M pc -display none -nodefaults -no-reboot -m "$((total >> 20))M" -accel 'tcg,thread=multi'
    -smp "$cpu,sockets=$sockets,cores=$((cpu / sockets / threads)),threads=$threads"
    # With AMD's name, QEMU's processors hide hardware threads.
    -cpu 'max,la57=off,vendor=GenuineIntel,family=6,model=85,stepping=4')
  # For a quick boot; then for CPUs that wait for those of the host, without alarms; and pages shall not wander.
  words="console=ttyS0 panic=-1 mitigations=off lsm= audit=0 cryptomgr.notests nokaslr ${verbose:-quiet}"
  words+=' tsc=reliable no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 numa_balancing=disable'
  # The kernel patches its code as it boots, and QEMU 7.2 can keep the breakpoint of the patching for a second CPU,
  # which then traps for ever. So the others come up afterwards, from init.
  words+=' maxcpus=1'
  machine+=(-kernel "$kernel" -initrd "$work/initrd" -append "$words ${kernel_words[*]-}" "${qemu_words[@]}")
}

# One run of the guest. Fails when it fell silent.
run_machine() {
  local readers=() ports=() port watch
  rm -f "$work"/{console,out,err,status,silent}
  mkfifo "$work"/{console,out,err}
  : >"$work/log"
  if [ -n "$verbose" ]; then tee "$work/log" <"$work/console" >&2 & else cat <"$work/console" >"$work/log" & fi
  readers+=($!)
  cat <"$work/out" &
  readers+=($!)
  cat <"$work/err" >&2 &
  readers+=($!)
  for port in console out err status; do ports+=(-chardev "file,id=$port,path=$work/$port" -serial "chardev:$port"); done
  timeout -k 5 "$limit" qemu-system-x86_64 "${machine[@]}" "${ports[@]}" </dev/null >"$work/qemu" 2>&1 &
  emulator=$!
  end_when_silent >/dev/null 2>&1 &
  watch=$!
  ended=0
  wait "$emulator" || ended=$?
  emulator=''
  kill "$watch" 2>/dev/null || true
  [ -e "$work/status" ] || kill "${readers[@]}" 2>/dev/null || true # QEMU did not get to opening them
  wait "${readers[@]}" "$watch" || true
  [ ! -e "$work/silent" ]
}

# Looks after the signs of life that init gives.
end_when_silent() {
  local seen=0 now silent=0
  while ((silent < patience)); do
    sleep 1
    now=$(stat -c %s "$work/status") || now=0
    silent=$((now == seen ? silent + 1 : 0))
    seen=$now
  done
  : >"$work/silent"
  kill "$emulator"
}

# Ends the script with the status of the program.
finish() {
  local status
  ! grep -q 'Out of memory' "$work/log" || say 'numa-vm: a domain of the guest ran out of memory: see --mem-per-node'
  status=$(tr -d '\r' <"$work/status" 2>/dev/null | sed -n '/^[0-9]/p')
  [ -z "$status" ] || exit "$status"
  if [ "$ended" = 124 ] || { [ "$ended" = 137 ] && ((SECONDS - started >= limit)); }; then
    say "numa-vm: ended after $limit s"
    exit 124
  fi
  cat "$work/qemu" >&2
  tail -n 30 "$work/log" >&2
  die "the guest ended without a status; QEMU's was $ended"
}
