#!/bin/sh
# boot.sh CGROUP ROOT OPTION...: boot ROOT with systemd-nspawn; changes to it are lost at the end.
#
# Runs in mount and process namespaces of its own: neither mounts nor processes outlive it.
# systemd needs cgroup v2, and must not see the cgroups of the host: so in here it is mounted from
# a new cgroup CGROUP down.
set -eu
cgroup=$1 root=$2
shift 2
# systemd-nspawn leaves files in /run.
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount -t cgroup2 cgroup2 /run/cgroup
mkdir /run/cgroup/"$cgroup"
echo $$ >/run/cgroup/"$cgroup"/cgroup.procs
umount /run/cgroup
export ROOT="$root"
exec unshare --cgroup sh -euc '
    umount --recursive --lazy /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec systemd-nspawn --quiet --directory="$ROOT" --volatile=overlay --boot --private-network \
        --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off \
        --console=pipe "$@"' sh "$@"
