#!/bin/sh
# A VM's init: the stages of cloud-init in the order of its systemd units; then it waits to be
# ended, as `poweroff` does (base.py). The times go to /var/log/stages.
trap 'exit 0' TERM

stage() {
    name=$1
    shift
    "$@"
    echo "$(date +%s.%N) $name" >> /var/log/stages
}

boot() {
    stage start true
    stage ds-identify /usr/lib/cloud-init/ds-identify
    stage init-local cloud-init init --local
    stage network ifup -a
    stage init cloud-init init
    stage config cloud-init modules --mode=config
    stage final cloud-init modules --mode=final
}

{ boot; exec sleep infinity; } &
wait $!
