#!/bin/sh
# Lets this machine run programs of another architecture (the kernel's binfmt_misc, with qemu's user
# emulation) until its standard input ends. $1: the entry's name   $2: qemu   $3: magic   $4: mask
set -eu
mount --make-rprivate /
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
echo ":$1:M::$3:$4:$2:F" > /proc/sys/fs/binfmt_misc/register # F: opened now, found in any root
echo ready
read -r _ || true
echo -1 > "/proc/sys/fs/binfmt_misc/$1"
