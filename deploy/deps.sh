#!/usr/bin/env bash
# Installs the Debian packages that building and running hwgw needs and that are missing. SPDX-License-Identifier: MIT
#
# As root it asks apt for what is missing and nothing else; otherwise it says what is missing and what that costs. Ends
# with 1 only when something is missing without which nothing can be built.
set -euo pipefail

export DEBIAN_FRONTEND=noninteractive
python=${PYTHON:-python3}

has() { command -v "$1" >/dev/null 2>&1; }
has_kernel_header() { [ -e /usr/include/linux/bpf.h ]; }
has_venv() { "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; }
has_python_header() {
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' >/dev/null 2>&1
}
has_fuzzer() { has clang && [ -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ]; }

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
has git|git|may|builds do not know their commit'

missing() { # the rows of the table whose check fails, without the check
  local check packages need cost
  while IFS='|' read -r check packages need cost; do
    $check || echo "$packages|$need|$cost"
  done <<<"$table"
}

install() {
  apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null 2>&1
}

rows=$(missing)
if [ -z "$rows" ]; then
  echo "deps: everything is installed"
  exit 0
fi
mapfile -t packages < <(cut -d'|' -f1 <<<"$rows" | tr ' ' '\n')
if [ "$(id -u)" = 0 ] && has apt-get; then
  echo "deps: installing ${packages[*]}"
  if ! install "${packages[@]}"; then
    apt-get update -q -o DPkg::Lock::Timeout=300 >/dev/null || true
    # one by one, so that a package this release does not have costs only itself
    for package in "${packages[@]}"; do install "$package" || true; done
  fi
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
