"""The attributes of spans and metrics, from an event."""

from suno_cover_async import RequestSent
from suno_cover_async.telemetry.attributes import of_request, of_route, without_none


def sent(**more: object) -> RequestSent:
    facts: dict[str, object] = {"request_id": "r", "method": "GET", "path": "/p"}
    return RequestSent(**(facts | more))  # type: ignore[arg-type]


def test_the_server_is_the_host_and_the_port_of_the_scheme() -> None:
    assert of_route(sent(origin="https://api.example")) == {
        "http.request.method": "GET",
        "server.address": "api.example",
        "server.port": 443,
        "url.template": "/p",
    }
    assert of_route(sent(origin="http://[::1]:81"))["server.address"] == "::1"
    assert of_route(sent(origin="http://[::1]:81"))["server.port"] == 81


def test_an_image_has_neither_a_url_nor_a_template() -> None:
    about = of_request(sent(origin="https://images.example", path=""))

    assert about == {
        "http.request.method": "GET",
        "server.address": "images.example",
        "server.port": 443,
        "url.scheme": "https",
        "suno_cover.permit.wait_time": 0.0,
    }


def test_a_request_that_is_sent_again_counts_from_1() -> None:
    about = of_request(sent(origin="https://api.example", attempt=3))

    assert about["http.request.resend_count"] == 2


def test_what_is_not_known_is_left_out() -> None:
    assert without_none(a__b=None, c__d_e=0) == {"c.d_e": 0}
