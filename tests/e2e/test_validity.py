"""Certificates outside their time are refused."""

import datetime
import time

import pytest

import mosquitto
from fleet import Fleet, Identity, key_and_request, simple_enroll
from palisade import Palisade, run, wait_for


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server whose device certificates live for some seconds."""
    with Palisade(tmp_path_factory.mktemp("hasty"), IDENTITY__DEVICE_VALIDITY="8s").running() as server:
        yield server


def test_a_certificate_works_until_it_expires_and_then_at_no_door(hasty):
    fleet = Fleet(hasty)
    device = fleet.device()
    topic = f"devices/{device.name}/x"
    with mosquitto.Subscriber(hasty, device, topic) as session:
        mosquitto.publish(hasty, device, topic, "in time", "-q", "1", client_id=f"{device.name}:2")
        assert session.message()[1] == "in time"
        wait_for(lambda: run("openssl", "x509", "-in", device.certificate, "-noout", "-checkend", 0,
                             check=False).returncode == 1, "the certificate expires", 30)
        wait_for(session.has_lost, "the live session ends with its certificate", 10)
    refused = mosquitto.publish(hasty, device, topic, "late", client_id=f"{device.name}:2", check=False)
    assert refused.returncode != 0, refused
    fresh = Identity(device.name, fleet.new_folder("fresh"), hasty.ca)
    answer = simple_enroll(hasty, key_and_request(fresh), *device.curl(), path="/.well-known/est/simplereenroll")
    assert answer.status in (0, 401, 403), answer


@pytest.mark.parametrize("when", ["expired", "not yet valid"])
def test_a_makers_certificate_outside_its_time_does_not_enrol(palisade, fleet, when):
    now = datetime.datetime.fromtimestamp(time.time(), datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    begins, ends = (now - 2 * hour, now - hour) if when == "expired" else (now + hour, now + 2 * hour)
    form = "%Y%m%d%H%M%SZ"
    maker, name = fleet.maker(fleet.product()), fleet.new_name("made")
    born = maker.device(name, begins.strftime(form), ends.strftime(form))
    own = Identity(name, fleet.new_folder(f"own-{name}"), palisade.ca)
    answer = simple_enroll(palisade, key_and_request(own), *born.curl())
    assert answer.status in (0, 401, 403), answer
    assert palisade.rest("GET", f"/devices/{name}")[0] == 404
