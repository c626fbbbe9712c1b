"""Answers of gateways, by what is to become of them."""

from suno_cover_async.sandbox import Kind
from tests.support.answering import page, reply, text

KINDS: tuple[Kind, ...] = ("submit", "details", "credits", "music")
SPRING = {"timestamp": "2026-11-01T10:00:00Z", "status": 404, "error": "Not Found", "path": "/x"}
PROBLEM = {"type": "about:blank", "title": "No such route", "status": 404, "detail": "Try again."}
PASSING = {  # and what of them people are to read
    "a bare 404": (text(404, "404 page not found\n"), "404 page not found"),
    "an HTML 400": (
        page(400, "<html><head><title>400 Bad Request</title></head><body></body></html>"),
        "400 Bad Request",
    ),
    "an HTML 421": (page(421, "<html>Misdirected Request</html>"), "Misdirected Request"),
    "a framework's 404": (reply(404, SPRING), "Not Found"),
    "problem JSON": (
        reply(404, PROBLEM, "application/problem+json"),
        "No such route: Try again.",
    ),
    "FastAPI's 404": (reply(404, {"detail": "Not Found"}), "Not Found"),
    "a nested error": (reply(404, {"error": {"code": 404}}), "404"),
    "a code that is a word": (reply(404, {"code": "no_route", "message": "None."}), "None."),
    "a list": (reply(200, [1, 2]), "[1, 2]"),
    "a login page": (page(200, "<!DOCTYPE html>\n<title>Log in</title>"), "Log in"),
    "plain text": (text(201, "created"), "created"),
    "an empty 404": (reply(404), "an empty body"),
    "a bare 401": (text(401, "Unauthorized"), "Unauthorized"),
    "a bare 402": (text(402, "Payment Required"), "Payment Required"),
    "an HTML 403": (page(403, "<h1>403 Forbidden</h1>"), "403 Forbidden"),
    "a 405": (page(405, "<title>405 Not Allowed</title>"), "405 Not Allowed"),
    "a 409": (text(409, "Conflict"), "Conflict"),
    "a redirect": (reply(302, Location="https://elsewhere.example/?secret"), "an empty body"),
    "an odd status": (text(999, "?"), "?"),
    "MySQL's 1020, 400": (text(400, "Error 1020: Record has changed"), "Error 1020"),
    "an error_code of others": (reply(404, {"error_code": 1015, "error_msg": "None."}), "None."),
    "Google's JSON": (
        reply(404, b'{\n "error": {\n  "code": 404,\n  "message": "Not here."\n }\n}', "text/json"),
        "Not here.",
    ),
    "HAProxy's page": (page(403, "<html><body><h1>403 Forbidden</h1>\nRequest"), "403 Forbidden;"),
    "a page in Latin-1": (reply(404, "<p>non trouvée".encode("latin-1"), "text/html"), "non trouv"),
}
BROKEN = {  # what is retried whether or not the API has answered before
    "502": page(502, "<title>502 Bad Gateway</title>"),
    "522 in JSON": reply(522, {"title": "Error 522", "status": 522, "error_code": 522}),
    "500 in JSON": reply(500, {"timestamp": "x", "status": 500, "error": "Internal Server Error"}),
    "530": text(530, "error code: 1016"),
    "MySQL's 1020": text(500, "SQLSTATE[HY000]: General error: 1020 Record has changed"),
    "MySQL's 1015 behind Cloudflare": page(502, "Error 1015: cannot lock. cdnjs.cloudflare.com"),
    "an error_code of others": reply(503, {"error_code": 1010, "message": "db down"}),
    "408": text(408, "Request Timeout"),
    "425": text(425, "Too Early"),
    "no body": reply(200),
    "204": reply(204),
    "blanks": reply(200, b" \r\n"),
    "cut off": reply(200, b'{"code":200,"msg":"success","da'),
    "cut off, 400": reply(400, b'{"code":400,"msg":"Cover already'),
    "garbled": reply(200, b'{"code":200;"data":{"taskId":"a"}}'),
    "random bytes": reply(200, bytes(range(128, 256)) * 4),
    "control characters": reply(200, b"\x00\x01\x02\x1b[2J"),
}
BLOCKED = {
    "text": text(403, "error code: 1010"),
    "JSON": reply(403, {"title": "Access denied", "error_code": 1020, "cloudflare_error": True}),
    "HTML of today": page(
        403,
        "<title>Access denied | a.example used Cloudflare to restrict access</title>"
        '<h1><span data-translate="error">Error</span> <span>1006</span></h1>',
    ),
    "HTML of before": page(
        403,
        '<h1> <span class="cf-error-type" data-translate="error">Error</span>\n'
        '         <span class="cf-error-code">1009</span></h1>',
    ),
    "a firewall's page": page(403, "<title>Attention Required! | Cloudflare</title>"),
    "a challenge": page(403, "<title>Just a moment...</title>", cf_mitigated="challenge"),
    "a challenge, 503": page(503, "<title>Just a moment...</title>", cf_mitigated="challenge"),
    "a challenge, 429": reply(429, b"", cf_mitigated="challenge"),
    **{f"{code}": text(403, f"error code: {code}") for code in (*range(1005, 1013), 1106)},
}
LIMITED = {
    "429": text(429, "Too Many Requests"),
    "an empty 429": reply(429),
    "429 in JSON": reply(429, {"detail": "Request was throttled."}),
    "1015 in JSON": reply(429, {"title": "Error 1015", "status": 429, "error_code": 1015}),
    "1015, 200": text(200, "error code: 1015"),
    "1015, 403": text(403, "error code: 1015"),
    "1015, 503": reply(503, {"title": "Error", "error_code": 1015, "cloudflare_error": True}),
    "1015 in HTML": page(
        403,
        "<title>Access denied | a.example used Cloudflare to restrict access</title>"
        "<span>Error</span> <span>1015</span> <h2>You are being rate limited</h2>",
    ),
}
