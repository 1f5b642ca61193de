"""Server-sent events: what happens is heard at once, and a reader goes on where it was cut off."""

import http.client
import json
import ssl


class Stream:
    """One reader of `/api/v1/events`."""

    def __init__(self, palisade, query="", last=None):
        context = ssl.create_default_context(cafile=palisade.ca)
        self.connection = http.client.HTTPSConnection("localhost", palisade.people, context=context, timeout=15)
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {palisade.token}"}
        if last is not None:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.headers.get_content_type() == "text/event-stream"

    def next(self, wanted=lambda event: True):
        """The id and content of the next event that is wanted."""
        position, data = None, ""
        while True:
            line = self.answer.readline().decode().rstrip("\r\n")
            if line.startswith("id:"):
                position = line[3:].strip()
            elif line.startswith("data:"):
                data += line[5:].strip()
            elif not line and data:
                event = json.loads(data)
                data = ""
                if wanted(event):
                    return position, event

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def about(name, kind):
    return lambda event: event["kind"] == kind and name in json.dumps(event)


def test_an_event_is_heard_when_it_happens(palisade, fleet):
    device = fleet.register()
    with Stream(palisade, "?kind=posture_changed") as stream:
        palisade.post(f"/devices/{device}/quarantine", {"reason": "heard"})
        _, event = stream.next(about(device, "posture_changed"))
        assert event["lifecycle"] == "quarantined"


def test_a_reader_goes_on_after_the_last_event_it_saw(palisade, fleet):
    first, second, third = (fleet.register() for _ in range(3))
    with Stream(palisade) as stream:
        palisade.post(f"/devices/{first}/quarantine", {"reason": "1"})
        position, _ = stream.next(about(first, "posture_changed"))
    palisade.post(f"/devices/{second}/quarantine", {"reason": "2"})
    with Stream(palisade, last=position) as stream:
        _, event = stream.next(lambda event: event["kind"] == "posture_changed")
        assert second in json.dumps(event)
        palisade.post(f"/devices/{third}/quarantine", {"reason": "3"})
        stream.next(about(third, "posture_changed"))


def test_a_reader_may_ask_for_one_principal(palisade, fleet):
    one, other = fleet.register(), fleet.register()
    with Stream(palisade, f"?principal=device/{one}") as stream:
        palisade.post(f"/devices/{other}/quarantine", {"reason": "other"})
        palisade.post(f"/devices/{one}/quarantine", {"reason": "one"})
        _, event = stream.next()
        assert event["principal"]["id"] == one
