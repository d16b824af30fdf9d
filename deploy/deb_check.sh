#!/usr/bin/env bash
# The Debian package in a fresh system that is thrown away: lintian, installed, used, upgraded, removed, purged.
# SPDX-License-Identifier: MIT
#
#   deploy/deb_check.sh dist/hwgw_VERSION_amd64.deb        (make deb-check; root, debootstrap, a mirror)
#
# The system is debootstrap's minbase of the suite this host runs; what it was made of is kept in build/deb/base.tar.
set -euo pipefail

package=${1:?deploy/deb_check.sh PACKAGE.deb}
work=build/deb
mirror=${MIRROR:-http://deb.debian.org/debian}
root=$work/root
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:?this is no release of Debian}")

fail() {
  echo "deb-check: $*" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || fail "needs root"
for program in lintian debootstrap unshare; do command -v $program >/dev/null || fail "needs $program"; done

# notes of taste stay out: errors, warnings and infos count; of our own files without the overrides for those of others
said=$(lintian --display-info "$package" 2>/dev/null | grep '^[EWI]:' || true)
ours=$(lintian --display-info --no-override "$package" 2>/dev/null | grep 'site-packages/hwgw' |
  grep -v 'dist-info/licenses\|hwgw/web/page.html' || true)
[ -z "$said$ours" ] || fail "lintian says:
$said
$ours"
echo "deb-check: lintian has nothing to say"

[ -e $work/base.tar ] || debootstrap --variant=minbase --make-tarball=$work/base.tar "$suite" $work/base.tmp "$mirror" >$work/base.log
rm -rf $root $work/base.tmp
debootstrap --variant=minbase --unpack-tarball="$PWD/$work/base.tar" "$suite" $root "$mirror" >$work/root.log ||
  fail "debootstrap, see $work/root.log"
trap 'rm -rf $root' EXIT
echo 'DPkg::Options:: "--force-confold";' >$root/etc/apt/apt.conf.d/00deb-check
printf '#!/bin/sh\nexit 101\n' >$root/usr/sbin/policy-rc.d && chmod 755 $root/usr/sbin/policy-rc.d
[ ! -e /etc/apt/apt.conf.d/proxy.conf ] || cp /etc/apt/apt.conf.d/proxy.conf $root/etc/apt/apt.conf.d/
cp /etc/resolv.conf $root/etc/resolv.conf
cp "$package" $root/root/hwgw.deb

# its own mounts and processes; nothing of this host's is to be seen but the network
inside() {
  unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$0/proc"; mount -t tmpfs tmpfs "$0/dev/shm" 2>/dev/null ||
    { mkdir -p "$0/dev/shm" && mount -t tmpfs tmpfs "$0/dev/shm"; }; exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"' "$PWD/$root" "$@"
}
# every file of the system but what packages of others and apt keep for themselves
files() { (cd $root && find etc usr/lib/hwgw usr/bin usr/share/hwgw var/lib/hwgw lib/systemd/system -path '*hwgw*' 2>/dev/null | sort); }

inside apt-get update -q >$work/apt.log 2>&1 || fail "apt-get update, see $work/apt.log"
inside apt-get install -y -q --no-install-recommends /root/hwgw.deb >>$work/apt.log 2>&1 || { tail -20 $work/apt.log >&2; fail "install"; }
echo "deb-check: installed in a fresh $suite"

is() { # what | expected | found
  [ "$2" = "$3" ] || fail "$1: $3 where $2 was expected"
}
is "hwgw version" 0 "$(inside hwgw version >/dev/null; echo $?)"
is "backend afxdp was built" "" "$(inside hwgw version --json | grep -o 'clang was not found[^"]*' || true)"
is "owner of /etc/hwgw" "2750 root hwgw" "$(inside stat -c '%a %U %G' /etc/hwgw)"
is "owner of /var/lib/hwgw" "750 hwgw hwgw" "$(inside stat -c '%a %U %G' /var/lib/hwgw)"
is "groups of hwgw-view" "hwgw" "$(inside id -Gn hwgw-view | tr ' ' '\n' | grep -x hwgw)"
is "hwgw-halt of a gateway that is not there" 2 "$(inside hwgw-halt nobody 2>/dev/null; echo $?)"
is "hwgw check of the example" 0 "$(inside hwgw check -q /usr/share/doc/hwgw/examples/gateway.yaml; echo $?)"
is "hwgw metrics" 0 "$(inside hwgw metrics >/dev/null; echo $?)"
is "hwgw doctor" schema "$(inside hwgw doctor --json | grep -o -m1 schema | head -1)"
is "files outside of the package's that running it made" "" \
  "$(inside find /usr/lib/hwgw -name '*.pyc' -newer /root/hwgw.deb -prune -o -newermt tomorrow -print)"
is "conffiles" "/etc/hwgw/metrics.conf" "$(inside dpkg-query -W -f '${Conffiles}' hwgw | awk 'NF { print $1 }')"
is "units that systemd would start" "" "$(cd $root/etc/systemd/system && find . -name 'hwgw*')"
# a bundle, installed by root, readable for the user that gateways run as
inside sh -ec 'mkdir /root/site && cd /root && sed s/^name:.*/name:\ rack7/ /usr/share/doc/hwgw/examples/gateway.yaml >site/rack7.yaml
  hwgw limits keygen desk.key >public && hwgw -q bundle make site --name rack7 --serial 1 --key desk.key -o 1.bundle
  hwgw -q bundle install 1.bundle --key "$(grep -oE "[0-9a-f]{64}" public)"' || fail "bundle"
is "hwgw reads the bundle" 0 "$(inside setpriv --reuid hwgw --regid hwgw --init-groups hwgw check -q /etc/hwgw/current/rack7.yaml; echo $?)"
is "nobody does not" 3 "$(inside setpriv --reuid nobody --regid nogroup --clear-groups hwgw check -q /etc/hwgw/current/rack7.yaml 2>/dev/null; echo $?)"
echo "deb-check: used"

inside sh -c 'echo HWGW_METRICS_LISTEN=127.0.0.1:9999 >/etc/hwgw/metrics.conf'
inside apt-get install -y -q --reinstall /root/hwgw.deb >>$work/apt.log 2>&1 || fail "upgrade, see $work/apt.log"
is "a changed conffile after an upgrade" HWGW_METRICS_LISTEN=127.0.0.1:9999 "$(inside cat /etc/hwgw/metrics.conf)"
inside dpkg --verify hwgw >$work/verify.log && is "dpkg --verify" "??5?????? c /etc/hwgw/metrics.conf" "$(cat $work/verify.log)"
echo "deb-check: upgraded"

inside apt-get remove -y -q hwgw >>$work/apt.log 2>&1 || fail "remove, see $work/apt.log"
is "what removal leaves" "/etc/hwgw/current /etc/hwgw/metrics.conf /etc/hwgw/releases /var/lib/hwgw/bundle-rack7.audit" \
  "$(inside find /etc/hwgw /usr/lib/hwgw /var/lib/hwgw -mindepth 1 -maxdepth 1 2>/dev/null | sort | tr '\n' ' ' | sed 's/ $//')"
inside apt-get purge -y -q hwgw >>$work/apt.log 2>&1 || fail "purge, see $work/apt.log"
is "what purging leaves: records have to be retained" "var/lib/hwgw var/lib/hwgw/bundle-rack7.audit" "$(files | tr '\n' ' ' | sed 's/ $//')"
inside apt-get install -y -q /root/hwgw.deb >>$work/apt.log 2>&1 && inside rm /var/lib/hwgw/bundle-rack7.audit
inside apt-get purge -y -q hwgw >>$work/apt.log 2>&1 || fail "purge, see $work/apt.log"
is "what purging leaves without records" "" "$(files)"
echo "deb-check: purged; nothing is left"
