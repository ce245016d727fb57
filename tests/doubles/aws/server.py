"""The double as an HTTP server on loopback, in a thread; its account, prepared already."""

from __future__ import annotations

import base64
import os
import threading
from typing import Any

import boto3
import botocore.session
import werkzeug.serving
from moto.ec2.models import ec2_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from shoal.clouds.aws import names
from shoal.wire.accounts import AwsAccount
from tests.doubles.aws.front import ACCOUNT, Front
from tests.doubles.aws.knobs import Knobs
from tests.doubles.machines import Machine, Machines

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # ours are enough
_MOTO = DomainDispatcherApplication(create_backend_app)  # its state is not in it
_MODELS = botocore.session.Session().get_component("data_loader")  # read once: EC2's is 5 MB
_UBUNTU = {"amd64": "x86_64", "arm64": "arm64"}


class AwsDouble:
    """`with AwsDouble(Knobs()) as double:` – its account, and a session with credentials for it.

    One at a time in a process: moto's state is the process's.
    """

    def __init__(self, knobs: Knobs | None = None, *, prepared: bool = True) -> None:
        moto_api_backend.reset()
        self.front = Front(_MOTO, knobs or Knobs())
        models = botocore.session.Session()
        models.register_component("data_loader", _MODELS)
        self.session = boto3.Session(
            aws_access_key_id="of-the-double",
            aws_secret_access_key="of-the-double",
            botocore_session=models,
        )
        self._server = werkzeug.serving.make_server(
            "127.0.0.1", 0, self.front, threaded=True, request_handler=_Quiet
        )
        self.account = AwsAccount(
            ACCOUNT, self.knobs.regions[0], endpoint=f"http://127.0.0.1:{self._server.server_port}"
        )
        for region in self.knobs.regions:
            self._publish_images(region)
        self._prepared = prepared
        self.machines: Machines | None = None  # whoever boots something real for each VM
        self._booted: set[str] = set()
        self.front.changed = self._follow

    @property
    def knobs(self) -> Knobs:
        return self.front.knobs

    def __enter__(self) -> AwsDouble:
        serving = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        if self._prepared:
            for region in self.knobs.regions:
                self._prepare(region)
        self.front.calls.clear()
        self.front.bytes = 0
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def instances(self) -> list[Any]:
        """moto's own, of all regions; those that are billed."""
        every = (ec2_backends[ACCOUNT][region].all_instances() for region in self.knobs.regions)
        return [it for them in every for it in them if it.state != "terminated"]

    def left(self) -> list[str]:
        """What is still there: instances, disks, interfaces, addresses, templates, keys."""
        found = [str(it.id) for it in self.instances()]
        for region in self.knobs.regions:
            held: Any = ec2_backends[ACCOUNT][region]
            found += [*held.volumes, *held.enis, *held.launch_templates]
            found += [*held.addresses, *held.key_pairs]
        return found

    def end(self, id: str) -> None:
        """By itself from inside, or since Amazon takes a spot instance back."""
        self._booted.discard(id)
        for it in self.instances():
            if it.id == id:
                it.terminate()

    def _follow(self, region: str) -> None:
        """What is there now runs, what is not does not."""
        machines = self.machines
        if machines is None:
            return
        there = {str(it.id): it for it in self.instances()}
        for id in self._booted - there.keys():
            machines.stop(id)
        for id in there.keys() - self._booted:
            machines.start(_machine(there[id]))
        self._booted = set(there)

    def _publish_images(self, region: str) -> None:
        backend = ec2_backends[ACCOUNT][region]
        for arch, called in _UBUNTU.items():
            image = backend.register_image(f"ubuntu-24.04-{arch}", "of the double")
            image.architecture = called
            self.front.images[region, arch] = image.id

    def _prepare(self, region: str) -> None:
        ec2 = self.session.client("ec2", region_name=region, endpoint_url=self.account.endpoint)

        def tagged(kind: str, value: str) -> list[dict[str, object]]:
            return [{"ResourceType": kind, "Tags": names.tag_list({names.SETUP_TAG: value})}]

        vpc = ec2.create_vpc(
            CidrBlock="10.142.0.0/16", TagSpecifications=tagged("vpc", names.NETWORK)
        )["Vpc"]["VpcId"]
        for number, letter in enumerate("ab"):
            ec2.create_subnet(
                VpcId=vpc,
                CidrBlock=f"10.142.{16 * number}.0/20",
                AvailabilityZone=f"{region}{letter}",
                TagSpecifications=tagged("subnet", names.SUBNET),
            )
        ec2.create_security_group(
            GroupName=names.VM_GROUP,
            Description="VMs",
            VpcId=vpc,
            TagSpecifications=tagged("security-group", "vms"),
        )


def _machine(instance: Any) -> Machine:
    return Machine(
        cloud="aws",
        id=str(instance.id),
        name=str(instance.id),
        zone=str(instance.placement.zone),
        machine_type=instance.instance_type,
        arch=instance.architecture.replace("arm64", "aarch64"),
        user_data=base64.b64decode(str(instance.user_data)),
        address=instance.private_ip,
        mac=instance.nics[0].mac_address,
        spot=instance.lifecycle == "spot",
        tags={it["key"]: it["value"] for it in instance.get_tags()},
    )


class _Quiet(werkzeug.serving.WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
