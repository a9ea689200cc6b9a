"""What must not be in a deposit: traces of people, and paths of the computer on which it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Reserved for documentation (RFC 2606, RFC 5737, RFC 3849): nobody's.
INVENTED = re.compile(
    r"@(?:[\w-]+\.)*example\.(?:org|com|net)$|^(?:192\.0\.2|198\.51\.100|203\.0\.113)\.|^2001:db8:"
)
ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}(?![\w@])")
OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
NETWORK = re.compile(rf"(?<![\d.])(?:{OCTET}\.){{3}}{OCTET}(?![\d.])")
PHONE = re.compile(r"(?<![\w.+/-])\+\d{1,3}[ /-]?\(?\d{1,4}\)?(?:[ /-]?\d{2,4}){2,4}(?![\w.])")
IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
TRACES = {"e-mail address": ADDRESS, "IP address": NETWORK, "phone number": PHONE, "IBAN": IBAN}
PATH = re.compile(
    r"""(?<![\w.~}:/<])/(?:home|root|Users|mnt|tmp|work|media|var/folders)/\w|\b[A-Z]:\\{1,2}\w|file:///\w"""
)
EMBEDDED = re.compile(r"base64,[A-Za-z0-9+/=]+")
SHOWN = 3  # places of a kind in a file


@dataclass(frozen=True)
class Trace:
    """Something that was found: what it is, in which line; never its text."""

    what: str
    line: int


def traces(text: str) -> list[Trace]:
    """Find addresses of people and computers in a text, and absolute paths; none that are nobody's.

    At most `SHOWN` of a kind. What is embedded as base64 (figures of a page) is left out: it is there
    as a file of its own.
    """
    found = list(_found(EMBEDDED.sub("base64,", text)))
    kinds = dict.fromkeys(trace.what for trace in found)
    return [trace for kind in kinds for trace in [t for t in found if t.what == kind][:SHOWN]]


def _found(text: str) -> Iterator[Trace]:
    for what, pattern in TRACES.items():
        for match in pattern.finditer(text):
            if not INVENTED.search(match[0]) and _plausible(what, match[0]):
                yield Trace(what, text.count("\n", 0, match.start()) + 1)
    for match in PATH.finditer(text):
        yield Trace("absolute path", text.count("\n", 0, match.start()) + 1)


def _plausible(what: str, text: str) -> bool:
    """Whether the check digits of an IBAN fit, as ids look like one; other kinds are taken as they are."""
    if what != "IBAN":
        return True
    plain = text.replace(" ", "")
    number = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return 15 <= len(plain) <= 34 and int(number) % 97 == 1
