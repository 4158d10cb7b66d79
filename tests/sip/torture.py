"""Messages in the manner of RFC 4475: name -> (datagram, whether the front acts on it)."""

from __future__ import annotations

from tests.sip.wire import invite


def _swap(old: bytes, new: bytes, base: bytes | None = None) -> bytes:
    data = base if base is not None else invite()
    assert old in data
    return data.replace(old, new, 1)


TORTURE: dict[str, tuple[bytes, bool]] = {
    "wsinv: folding, odd case, compact names": (
        b"INVITE sip:vivek@biloxi.example.com;unknownparam SIP/2.0\r\n"
        b"TO :\r\n sip:vivek@biloxi.example.com ;   tag    = \r\n"
        b'f   : "J Rosenberg \\\\\\""       <sip:jdr@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
        b"MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\n"
        b"Content-Length   : 0\r\ncseq: 0009\r\n  INVITE\r\n"
        b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
        b"s :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
        b"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n"
        b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n"
        b"  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n"
        b" z9hG4bK30239\r\nm:\"Quoted string \\\"\\\"\" <sip:jdr@example.com> ; newparam\r\n\r\n",
        True,
    ),
    "unknown method with odd token": (
        invite(method="!interesting-Method0123456789_*+`.%indeed'~"),
        True,
    ),
    "unknown scheme": (_swap(b"INVITE sip:100@198.51.100.1", b"INVITE nobodyKnows:this"), True),
    "escaped user": (invite(user="sips%3Auser%40example.com"), True),
    "null in a header value": (_swap(b"sip:alice@", b"sip:al\0ice@"), False),
    "not UTF-8": (_swap(b"From: <", b'From: "\xc3\x28\xff" <'), True),
    "start line only": (b"INVITE sip:100@198.51.100.1 SIP/2.0\r\n\r\n", False),
    "no end of headers": (invite()[:-2], False),
    "content length larger than the body": (
        _swap(b"Content-Length: 0", b"Content-Length: 9999"),
        False,
    ),
    "negative content length": (_swap(b"Content-Length: 0", b"Content-Length: -999"), False),
    "body longer than content length": (invite() + b"trailing", True),
    "request line with extra spaces": (_swap(b" SIP/2.0", b"  SIP/2.0"), False),
    "URI in brackets": (_swap(b"INVITE sip:100@198.51.100.1", b"INVITE <sip:a@b.c>"), False),
    "spaces in the URI": (_swap(b"sip:100@198.51.100.1 SIP", b"sip:1 0@198.51.100.1 SIP"), False),
    "SIP/7.0": (_swap(b" SIP/2.0\r\nVia", b" SIP/7.0\r\nVia"), False),
    "CSeq too large": (_swap(b"CSeq: 1 ", b"CSeq: 36893488147419103232 "), False),
    "CSeq of another method": (_swap(b"CSeq: 1 INVITE", b"CSeq: 1 OPTIONS"), False),
    "two Call-IDs": (_swap(b"Call-ID:", b"Call-ID: two\r\nCall-ID:"), False),
    "no From": (_swap(b"From:", b"X-From:"), False),
    "open quote in From": (_swap(b"From: <", b'From: "ChangeNotifier, Alexander <'), False),
    "open bracket in To": (_swap(b"198.51.100.1>\r\nCall", b"198.51.100.1\r\nCall"), False),
    "Via without sent-by": (_swap(b"192.0.2.7:5062;", b";"), False),
    "Via port out of range": (_swap(b"192.0.2.7:5062;", b"192.0.2.7:99999;"), False),
    "empty branch": (_swap(b"branch=z9hG4bKphone1", b"branch="), True),
    "a very long header": (_swap(b"From: <", b'From: "' + b"I" * 4000 + b'" <'), True),
    "a header above 4 kB": (_swap(b"From: <", b'From: "' + b"I" * 4096 + b'" <'), False),
    "a header of many short lines": (
        _swap(b"From:", b"X: 1" + b"\r\n ab" * 1500 + b"\r\nFrom:"), False
    ),
    "a datagram above 8 kB": (invite(body="x" * 8192), False),
    "more Vias than hops": (_swap(b"Via:", b"Via: " + b"SIP/2.0/UDP a," * 70 + b"\r\n "), False),
    "CSeq of 5,000 digits": (_swap(b"CSeq: 1 ", b"CSeq: " + b"9" * 5000 + b" "), False),
    "Content-Length of 5,000 digits": (
        _swap(b"Content-Length: 0", b"Content-Length: " + b"0" * 5000), False
    ),
    "Max-Forwards of 5,000 digits": (_swap(b"ards: 70", b"ards: " + b"7" * 5000), False),
    "ACK with broken Max-Forwards": (
        _swap(b"ards: 70", b"ards: many", invite(method="ACK", to_tag="t")), False
    ),
    "rport of 5,000 digits is ours to write": (_swap(b";rport", b";rport=" + b"1" * 4000), True),
    "a response to an rport of 4,000 digits": (
        _swap(b"INVITE sip:100@198.51.100.1", b"SIP/2.0 200 OK\r\nX: 1",
              _swap(b";rport", b";rport=" + b"1" * 4000)).replace(b"X: 1 SIP/2.0", b"X: 1"),
        False,
    ),
    "spaces in a Via": (_swap(b"Via: SIP/2.0/UDP ", b"Via: SIP/2.0/UDP" + b" " * 4000), True),
    "spaces before a Via's odd end": (_swap(b"7:5062;", b"7:5062" + b" " * 4000 + b"x;"), False),
    "credentials without an equals sign": (
        invite(extra="Proxy-Authorization: Digest " + "a" * 4000 + "\r\n"), True
    ),
    "many headers": (_swap(b"From:", b"X: 1\r\n" * 500 + b"From:"), False),
    "line feeds only": (invite().replace(b"\r\n", b"\n"), True),
    "response with a huge code": (_swap(b"INVITE sip:100@198.51.100.1 SIP/2.0",
                                        b"SIP/2.0 4294967301 better"), False),
    "response nobody asked for": (_swap(b"INVITE sip:100@198.51.100.1 SIP/2.0",
                                        b"SIP/2.0 200 OK"), False),
    "keep-alive": (b"\r\n\r\n", False),
    "STUN": (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), False),
    "empty": (b"", False),
    "RTP": (b"\x80\x00\x00\x01" + bytes(168), False),
}  # fmt: skip
