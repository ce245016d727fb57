"""VMs for tests: a created VM of a cloud's double runs its boot text, for real, on this machine.

A VM here is a network namespace with an address of its own, an overlay root over one small Debian
image, and its own processes, mounts, host name and control group. Its cloud-init is the image's
own: it recognises the cloud by DMI, takes a lease by DHCP, and fetches the user data from the
cloud's metadata service, as on the real thing.

    base.py          the image, built once into a cache
    namespaces.py    network namespaces, and why there may be none here
    fabric.py        the network: bridge, DHCP, DNS, roads to the tests and to the package index
    index_road.py    the package index, and nothing else, reached from inside
    metadata/        169.254.169.254 of each cloud
    vm.py            one VM (room.sh makes its room, init.sh is its process 1)
    emulation.py     programs of another architecture, for VMs that have it
    machines.py      what a double calls: `start`, `stop`
    plain_cloud.py   a provider without an API over it, and plain_server.py, a server that has it
    double_clouds.py doubles of the vendors' APIs over it, and double_server.py
    sweep.py         takes down what dead test runs left

What is left out: a kernel and a boot loader of its own, systemd, block devices, IPv6, security
groups (VMs reach each other on every port), public addresses, and the time that a real cloud takes.
"""
