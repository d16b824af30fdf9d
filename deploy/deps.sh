#!/usr/bin/env bash
# Installs the Debian packages that building and running hwgw needs and that are missing. SPDX-License-Identifier: MIT
#
# As root it asks apt for what is missing and nothing else; otherwise it says what is missing and what that costs. Ends
# with 1 only when something is missing without which nothing can be built.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
python=${PYTHON:-python3}
dpdk_root=${BASH_SOURCE[0]%/*}/../.deps/dpdk # HWGW_DPDK_ROOT of the build
# libdpdk-dev would bring 195 packages and 160 MB: the libraries, the virtual devices, and the headers unpacked are 6 MB
dpdk_packages="librte-eal23 librte-ethdev23 librte-bus-pci23 librte-bus-vdev23 librte-mempool-ring23 librte-net-af-packet23 librte-net-af-xdp23 librte-net-memif23 librte-net-null23 librte-net-pcap23 librte-net-ring23 librte-net-tap23"

has() { command -v "$1" >/dev/null 2>&1; }
has_kernel_header() { [ -e /usr/include/linux/bpf.h ]; }
has_venv() { "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; }
has_python_header() {
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' >/dev/null 2>&1
}
has_trace_headers() { [ -e /usr/include/lz4.h ] && [ -e /usr/include/zlib.h ]; }
has_fuzzer() { has clang && [ -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ]; }
has_dpdk() {
  local name
  for name in af_packet af_xdp memif null pcap ring tap; do
    compgen -G "/usr/lib/*/dpdk/pmds-*/librte_net_$name.so*" >/dev/null || return 1
  done
}
has_dpdk_headers() { [ -e "$dpdk_root/usr/include/dpdk/rte_ethdev.h" ] || [ -e /usr/include/dpdk/rte_ethdev.h ]; }

# check | packages | must or may | what is not there without them
table='has gcc|gcc libc6-dev|must|the data plane cannot be compiled
has_kernel_header|linux-libc-dev|must|the data plane cannot be compiled
has_venv|python3-venv|must|no .venv can be made
has_python_header|python3-dev|must|the native module cannot be compiled
has clang|clang|may|AF_XDP is left out and the fuzzers cannot be built
has_fuzzer|libclang-rt-14-dev|may|the fuzzers cannot be built
has llvm-objdump|llvm|may|the XDP program cannot be disassembled
has ip|iproute2|may|the demo has no network namespaces and falls back to loopback
has ethtool|ethtool|may|interface settings cannot be read or changed
has git|git|may|builds do not know their commit
has g++|g++|may|the card cannot be simulated
has perl|perl|may|the card cannot be simulated
has ccache|ccache|may|the simulated card is compiled again where it need not be
has iverilog|iverilog|may|the card is not tried on a second simulator
has_trace_headers|liblz4-dev zlib1g-dev|may|the card gives no waves
has_dpdk|'"$dpdk_packages"'|may|the dpdk backend is left out
has_dpdk_headers|libdpdk-dev|may|the dpdk backend is left out'

missing() { # the rows of the table whose check fails, without the check
  local check packages need cost
  while IFS='|' read -r check packages need cost; do
    $check || echo "$packages|$need|$cost"
  done <<<"$table"
}

install() {
  apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null 2>&1
}

unpack_dpdk_headers() { # the headers of libdpdk-dev, without its 195 packages
  local folder
  has apt-get && has dpkg-deb && has tar && has mktemp || return 0
  mkdir -p "$dpdk_root"
  folder=$(mktemp -d "$dpdk_root/XXXXXX")
  download() { (cd "$folder" && apt-get download -q libdpdk-dev >/dev/null 2>&1); }
  if download || { apt-get update -q -o DPkg::Lock::Timeout=300 >/dev/null 2>&1 && download; }; then
    dpkg-deb --fsys-tarfile "$folder"/*.deb | tar -x -C "$dpdk_root" ./usr/include
  fi
  rm -r "$folder"
}

rows=$(missing)
if [ -z "$rows" ]; then
  echo "deps: everything is installed"
  exit 0
fi
mapfile -t packages < <(cut -d'|' -f1 <<<"$rows" | tr ' ' '\n')
for i in "${!packages[@]}"; do [ "${packages[i]}" != libdpdk-dev ] || unset "packages[i]"; done
if [ "$(id -u)" = 0 ] && has apt-get; then
  [ "${#packages[@]}" = 0 ] || echo "deps: installing ${packages[*]}"
  if [ "${#packages[@]}" != 0 ] && ! install "${packages[@]}"; then
    apt-get update -q -o DPkg::Lock::Timeout=300 >/dev/null || true
    # one by one, so that a package this release does not have costs only itself
    for package in "${packages[@]}"; do install "$package" || true; done
  fi
  has_dpdk_headers || unpack_dpdk_headers
  rows=$(missing)
else
  echo "deps: not root, nothing is installed"
fi

status=0
while IFS='|' read -r packages need cost; do
  [ -n "$packages" ] || continue
  echo "deps: missing $packages: $cost (apt-get install $packages)"
  [ "$need" = may ] || status=1
done <<<"$rows"
exit "$status"
