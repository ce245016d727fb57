#!/bin/sh
# A VM's init without cloud-init: the network is there, and the user data is run as it is.
trap 'exit 0' TERM
{ /etc/user-data; exec sleep infinity; } &
wait $!
