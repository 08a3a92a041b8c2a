"""What may be sent, and where: URLs, addresses, headers. No sockets."""
# ruff: noqa: RUF001 - letters that look like others are part of the attack

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qhronos.errors import ConfigError, Invalid
from qhronos.http import guard, headers, url
from qhronos.http.guard import Egress

CLOSED = Egress()


def words(text):
    return text.split()


DENIED = words("""
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::2 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::a00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 2001::1 2001:0:1::1 2001:10::1 2001:20::1 2001:db8::1 2002:a00:1::1
2002:7f00:1:: 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 e000::1
2606:4700::1%1
""")

PUBLIC = words("""
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 128.0.0.1 172.15.255.255 172.32.0.0 192.0.1.1
192.167.255.255 198.17.255.255 223.255.255.255 168.63.129.17 2606:4700:4700::1111 2a00:1450::1 2001:200::1 ::ffff:8.8.8.8
""")


@pytest.mark.parametrize("text", DENIED)
def test_what_is_not_public_is_refused(text):
    assert "not a public address" in CLOSED.refusal(ip_address(text), 443)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_is_open(text):
    assert CLOSED.refusal(ip_address(text), 443) is None


@given(st.ip_addresses())
def test_nothing_that_python_calls_local_is_open(address):
    if not address.is_global or address.is_multicast:
        assert CLOSED.refusal(address, 443) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_itself(address):
    disguised = IPv6Address(f"::ffff:{address}")

    assert CLOSED.refusal(address, 443) == CLOSED.refusal(disguised, 443)


@pytest.mark.parametrize("port", [80, 443, 1024, 8080, 8443, 65535])
def test_the_web_and_high_ports_are_open(port):
    assert CLOSED.refusal(IPv4Address("8.8.8.8"), port) is None
    assert CLOSED.opens(port)


@pytest.mark.parametrize("port", [1, 22, 25, 53, 81, 1023, 2375, 5432, 6379, 6443, 10250, 11211, 27017])
def test_ports_of_other_services_are_not(port):
    assert f"port {port} is not open to deliveries" == CLOSED.refusal(IPv4Address("8.8.8.8"), port)
    assert not CLOSED.opens(port)


def test_a_hole_opens_a_network_and_leaves_the_ports_as_they_are():
    egress = Egress(["127.0.0.0/8", " [::1]/128 ", "fd00::/8", "10.1.2.3"])

    assert egress.refusal(IPv4Address("127.9.9.9"), 8080) is None
    assert egress.refusal(IPv6Address("::ffff:127.0.0.1"), 8080) is None
    assert egress.refusal(IPv6Address("::1"), 8080) is None
    assert egress.refusal(IPv6Address("fd12::1"), 80) is None
    assert egress.refusal(IPv4Address("10.1.2.3"), 80) is None
    assert egress.refusal(IPv4Address("10.1.2.4"), 80) is not None
    assert egress.refusal(IPv4Address("127.0.0.1"), 5432) == "port 5432 is not open to deliveries"


def test_a_hole_with_a_port_opens_that_port_alone_whichever_it_is():
    egress = Egress(["10.1.2.0/24:25", "[fd00::]/8:6379", "::1/128:9000"])

    assert egress.refusal(IPv4Address("10.1.2.9"), 25) is None
    assert egress.refusal(IPv4Address("10.1.2.9"), 443) is not None
    assert egress.refusal(IPv6Address("fd00::7"), 6379) is None
    assert egress.refusal(IPv6Address("::1"), 9000) is None
    assert egress.opens(25)
    assert egress.refusal(IPv4Address("8.8.8.8"), 25) is not None


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "localhost",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0",
        "10.0.0.0/8:0",
        "10.0.0.0/8:65536",
        "[::1",
        "::1/129",
        "example.com:443",
        "10.0.0.0/8:",
        "::ffff:10.0.0.0/104",
        "fe80::1%eth0",
        "::g",
        "10.0.0.0/8,::1/128",
    ],
)
def test_a_hole_that_is_no_network_stops_the_start(entry):
    with pytest.raises(ConfigError, match=r"http\.egress_allow: "):
        Egress([entry])


def test_networks_of_our_own_are_denied_but_for_the_holes_in_them():
    egress = Egress(["8.8.4.0/24"], deny=[" 8.8.0.0/16 ", "2620::/16"])

    assert (
        egress.refusal(IPv4Address("8.8.1.1"), 443)
        == "8.8.1.1 is not a public address (a network of this installation)"
    )
    assert egress.refusal(IPv6Address("2620::1"), 443) is not None
    assert egress.refusal(IPv4Address("8.8.4.4"), 443) is None
    assert egress.refusal(IPv4Address("8.9.0.1"), 443) is None


@pytest.mark.parametrize("entry", ["pods", "8.8.0.1/16", "8.8.0.0/16:443"])
def test_a_network_of_our_own_that_is_none_stops_the_start(entry):
    with pytest.raises(ConfigError, match=r"http\.egress_deny: "):
        Egress(deny=[entry])


def test_where_only_https_is_open_vetting_says_so():
    egress = Egress(["10.0.0.0/8"], https_only=True)

    guard.vet_url("https://10.0.0.1/", egress)
    with pytest.raises(Invalid, match=r"must start with https://.*http\.https_only") as refusal:
        guard.vet_url("http://10.0.0.1/", egress, "action.params.url")
    assert refusal.value.field == "action.params.url"


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "authority"),
    [
        ("http://example.com", "example.com", 80, "/", "example.com"),
        ("HTTPS://EXAMPLE.com./a/b?c=d", "example.com", 443, "/a/b?c=d", "example.com"),
        ("https://example.com:443/", "example.com", 443, "/", "example.com"),
        ("https://example.com:8443?q", "example.com", 8443, "/?q", "example.com:8443"),
        ("http://a_b.example-c.com:0080/", "a_b.example-c.com", 80, "/", "a_b.example-c.com"),
        ("http://straße.de/ü?ö", "xn--strae-oqa.de", 80, "/%C3%BC?%C3%B6", "xn--strae-oqa.de"),
        ("http://xn--strae-oqa.de/", "xn--strae-oqa.de", 80, "/", "xn--strae-oqa.de"),
        ("http://[2001:DB8::0:1]:8080/", "2001:db8::1", 8080, "/", "[2001:db8::1]:8080"),
        ("http://192.0.2.1/%2e%2e/x", "192.0.2.1", 80, "/%2e%2e/x", "192.0.2.1"),
        ("http://１９２.0.2.1/", "192.0.2.1", 80, "/", "192.0.2.1"),
        ("http://receiver/{x}|y", "receiver", 80, "/{x}|y", "receiver"),
    ],
)
def test_a_url_is_read_in_one_way(text, host, port, target, authority):
    parsed = url.parse(text)

    assert (host, port, target, authority) == (parsed.host, parsed.port, parsed.target, parsed.authority)


@pytest.mark.parametrize(
    "text",
    [
        *words("""
        example.com //example.com ftp://example.com file:///etc/passwd gopher://example.com javascript:alert(1) http:example.com
        http:/example.com http:// http:/// http://?x http://:80 http://example.com: http://example.com:x http://example.com:0
        http://example.com:65536 http://example.com:123456 http://example.com:８０ http://user@example.com http://user:pw@example.com
        http://@example.com http://example.com#x http://example.com/#x http://example.com?x#y http://example.com#@evil.com
        http://exa%6dple.com http://example.com%00.evil.com http://127.0.0.1\\@example.com http://example.com\\x http://[::1
        http://[::1%25lo]/ http://[fe80::1%eth0]/ http://::1/ http://[example.com]/ http://[127.0.0.1]/ http://[::1]x/ http://[]/
        http://127.1 http://127.0.1 http://0x7f.1 http://0x7f.0.0.1 http://0x7f000001 http://2130706433 http://017700000001
        http://0177.0.0.1 http://127.0.0.0x1 http://127.0.0.01 http://1.2.3.4.5 http://256.1.1.1 http://1.2.3.4.. http://example.1
        http://１２７.1 http://０x7f.1 http://２１３０７０６４３３ http://-a.com http://a-.com http://a..com http://.a.com http://.
        http://exam!ple.com http://a,b.com http://℀.com http://a＠b.com http://xn--.é http://é..com
        """),
        "",
        " http://example.com",
        "http://example.com ",
        "http://exam ple.com",
        "http://example.com/a b",
        "http://a\tb.com",
        "http://example.com/\r\nx: y",
        "http://example.com/\0",
        "http://\x7f.com",
        "http://example.com/\x85",
        "http://example.com\u00a0",
        "http://" + "a" * 64 + ".com",
        "http://" + "a." * 130 + "com",
        "http://" + "é" * 300,
        "http://example.com/" + "a" * 2048,
        "http://" + "\u00ad" * 260 + "localhost",
        "http://example.com/\ud800",
        "http://\ud800.com",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused(text):
    with pytest.raises(Invalid, match="URL"):
        url.parse(text)


@given(st.text() | st.from_regex(r"https?://[^/]{1,20}(:[0-9]{1,6})?(/[^#]{0,20})?"))
@example("http://[::ffff:1.2.3.4]/")
def test_parsing_ends_in_a_url_that_is_safe_to_write_or_in_a_refusal(text):
    try:
        parsed = url.parse(text)
    except Invalid:
        return

    assert parsed.target.startswith("/")
    assert not any(char.isspace() or not char.isascii() for char in parsed.target + parsed.authority)
    assert parsed == url.parse(f"{parsed.scheme}://{parsed.authority}{parsed.target}")


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://a.localhost./",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest",
        "http://１２７.0.0.1/",
        "http://ⓛocalhost/",
        "http://8.8.8.8:22/",
        "https://example.com:6379/",
        "ftp://example.com/",
    ],
)
def test_vetting_refuses_with_the_field_what_needs_no_lookup(text):
    with pytest.raises(Invalid) as refusal:
        guard.vet_url(text, CLOSED, "action.params.url")
    assert refusal.value.field == "action.params.url"


def test_vetting_lets_names_and_open_addresses_pass():
    egress = Egress(["127.0.0.0/8", "10.0.0.0/8:25"])
    for text in ("http://localhost:8080/", "http://127.0.0.1/", "https://example.com/", "http://smtp.internal:25/"):
        assert guard.vet_url(text, egress) == url.parse(text)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "keep-alive",
        "TE",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
        "proxy-authorization",
        "Proxy-Connection",
        "webhook-id",
        "Webhook-Signature",
        "x-qhronos-signature",
    ],
)
def test_headers_that_are_ours_cannot_be_given(name):
    with pytest.raises(Invalid, match="is set by Qhronos") as refusal:
        headers.check({name: "x"}, "action.params.headers")
    assert refusal.value.field == f"action.params.headers.{name}"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü", "a" * 65, "a\0", "(a)", "a/b", "a\n"])
def test_a_header_name_must_be_a_token(name):
    with pytest.raises(Invalid, match="header names") as refusal:
        headers.check({name: "x"})
    assert refusal.value.field == "headers"


@pytest.mark.parametrize(
    "value", ["a\r\nb: c", "a\nb", "a\rb", "a\0", "\x1b[0m", "\x7f", "\x85", "x" * 4097, "é" * 2049, "\ud800"]
)
def test_a_header_value_must_stay_on_its_line(value):
    with pytest.raises(Invalid, match="header `x-a`"):
        headers.check({"x-a": value})


def test_a_header_is_given_once_and_there_are_not_too_many():
    with pytest.raises(Invalid, match="given twice"):
        headers.check({"x-a": "1", "X-A": "2"})
    with pytest.raises(Invalid, match="at most 32"):
        headers.check({f"x-{number}": "" for number in range(33)})


def test_ordinary_headers_pass_and_are_written_in_utf8():
    given_headers = {"Authorization": "Bearer x", "x-note": "naïve\ttab", "x-empty": ""}
    headers.check(given_headers)

    assert "Authorization: Bearer x\r\nx-note: naïve\ttab\r\nx-empty: \r\n".encode() == headers.lines(
        tuple(given_headers.items())
    )


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=4).map(tuple))
@example((("a", "b\r\nc: d"),))
@example((("a: b\r\nc", "d"),))
@example((("host", "evil"),))
def test_what_is_written_has_exactly_the_fields_that_were_given(fields):
    try:
        block = headers.lines(fields)
    except (Invalid, UnicodeError):
        return

    assert [f"{name}: {value}".encode() for name, value in fields] == block.split(b"\r\n")[:-1]
    assert not any(byte < 32 and byte not in b"\t\r\n" for byte in block)


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("9999999999", 9_999_999_999),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60),
        ("Sun, 01 Mar 2026 13:01:00 +0100", 60),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60),
        ("Sun Mar  1 12:01:00 2026", 60),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text, seconds):
    assert timedelta(seconds=seconds) == headers.retry_after(text, NOW)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        "-1",
        "1.5",
        "99999999999",
        "٣",
        "Sun, 99 Mar 2026 12:01:00 GMT",
        "Sun, 01 Mar 99999 12:01:00 GMT",
    ],
)
def test_a_retry_after_that_cannot_be_read_says_nothing(text):
    assert headers.retry_after(text, NOW) is None


@given(st.text(max_size=40))
def test_reading_retry_after_never_fails(text):
    asked = headers.retry_after(text, NOW)

    assert asked is None or asked >= timedelta(0)
