#!/bin/sh
# Tries everything that a VM is made of, in namespaces that end with this script. $1: a directory.
set -eu
mount --make-rprivate /
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$1/upper,workdir=$1/work" "$1/root"
umount "$1/root"
mount -t sysfs sysfs "$1/root"
umount "$1/root"
ip link add bridge0 type bridge
ip link add near type veth peer name far
ip link set far master bridge0
nft -f - <<'END'
table inet trial {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
  }
}
END
