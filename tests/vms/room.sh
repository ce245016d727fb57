#!/bin/sh
# Process 1 of a new VM: furnishes its namespaces from outside the image, then becomes the image's
# init. Called in its own network, mount, pid, host name, ipc and control group namespaces.
#   $1  the VM's directory: upper work root sys dmi/    $2  the image    $3  its host name
set -eu
vm=$1 image=$2 name=$3
root=$vm/root

mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$image,upperdir=$vm/upper,workdir=$vm/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/run/lock"

# Devices that every program expects, and no disk.
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "fd/${number%:*}" "$root/dev/${number#*:}"
done

# The firmware's words (DMI), by which cloud-init recognises its cloud; and only its own interfaces.
mount -t sysfs sysfs "$vm/sys"
mount -t tmpfs tmpfs "$root/sys/class"
mkdir -p "$root/sys/class/net" "$root/sys/class/dmi/id" "$root/sys/class/block"
mount --bind "$vm/sys/class/net" "$root/sys/class/net"
cp "$vm/dmi/"* "$root/sys/class/dmi/id/"
umount -l "$vm/sys"

# Its control group is the root of what it sees, whichever version this machine has.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
elif [ -e /sys/fs/cgroup/memory ]; then
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/memory"
    mount -t cgroup -o memory cgroup "$root/sys/fs/cgroup/memory"
fi

echo "$name" > /proc/sys/kernel/hostname
ip link set lo up

cd "$root"
mkdir -p .outside
pivot_root . .outside
umount -l .outside
exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux /etc/vm-init
