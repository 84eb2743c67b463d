"""Made-up people for the sample: names of three languages, addresses and numbers of nobody.

Addresses are at the domains kept for examples; numbers are valid in form and end in a count.
"""

import unicodedata
from random import Random
from typing import NamedTuple

MARKETS = ("VN", "TH")
LANGUAGES = ("vi", "vi", "vi", "vi", "vi", "th", "th", "th", "en", "en")
PRIMARY_KINDS = ("email",) * 12 + ("phone",) * 4 + ("crm_id",) * 2 + ("user_id", "external_id")
_DIALLED = {"VN": "+8490", "TH": "+6680"}

_VI_FAMILY = "Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý".split()
_VI_MIDDLE = "Thị Văn Hữu Đức Minh Ngọc Thanh Quang Thùy Gia Bảo Kim Xuân Hoài".split()
_VI_GIVEN = (
    "Ánh Anh Bình Châu Dũng Duyên Giang Hà Hạnh Hiếu Hùng Hương Khánh Lan Linh Long Mai "
    "Nam Nga Nhung Phúc Phương Quân Quỳnh Sơn Tâm Thảo Thủy Trang Trung Tuấn Uyên Vy Yến"
).split()
_TH_GIVEN = (
    "กนกวรรณ กิตติ จันทร์เพ็ญ ชัยวัฒน์ ณัฐพล ดวงใจ ธนพร ธีรเดช นภัสสร นิพนธ์ ประเสริฐ ปิยะดา พิมพ์ชนก "
    "มานพ รัตนา วรรณา วีระ ศิริพร สมชาย สมหญิง สุดารัตน์ สุรชัย อนุชา อรทัย อัญชลี เอกชัย"
).split()
_TH_FAMILY = (
    "แก้วมณี ใจดี ชัยมงคล ทองดี ทองสุข บุญมา พงษ์ไพบูลย์ พันธุ์ดี มีสุข รุ่งเรือง วงศ์สวัสดิ์ "
    "ศรีสุข สายทอง สุขเกษม แสงทอง หอมหวาน อินทร์แก้ว"
).split()
_EN_GIVEN = (
    "Alice Ben Claire Daniel Emma Fiona George Hannah Isaac Julia Kevin Laura Mark Nora Oliver "
    "Paula Quentin Rachel Simon Tara Victor Wendy"
).split()
_EN_FAMILY = (
    "Atkins Barlow Chandler Dawson Ellery Fairbanks Granger Holloway Ingram Jessop Kirkwood "
    "Langford Merrick Norwood Pemberton Radcliffe Sheffield Thornton Whitaker"
).split()
_COMPANIES = ("Sao Mai", "Siam Lotus", "Bến Thành Foods", "Chao Phraya Resort", "Delta Rice")


class Person(NamedTuple):
    """Somebody who does not exist."""

    number: int
    language: str
    market: str
    name: str
    email: str
    phone: str
    company: str | None
    identifiers: tuple[dict[str, str], ...]  # first the one on all of a lead's touchpoints

    @property
    def known(self) -> bool:
        """Whether anything but a browser names this person."""
        return self.identifiers[0]["kind"] != "anonymous_id"


def person(number: int, random: Random) -> Person:
    """The person of this number; three in ten never say who they are."""
    language = random.choice(LANGUAGES)
    market = {"vi": "VN", "th": "TH"}.get(language) or random.choice(MARKETS)
    words = _name(language, random)
    latin = _letters(words[-1] if language == "vi" else words[0]) or f"khun{number % 97}"
    email = f"{latin}.{number}@{random.choice(('example.com', 'example.net', 'example.org'))}"
    phone = f"{_DIALLED[market]}{number:07d}"
    kind = random.choice(PRIMARY_KINDS) if random.randrange(10) < 7 else "anonymous_id"
    company = random.choice(_COMPANIES) if random.randrange(6) == 0 else None
    identifiers = _identifiers(kind, number, email, phone)
    return Person(number, language, market, " ".join(words), email, phone, company, identifiers)


def _name(language: str, random: Random) -> list[str]:
    if language == "vi":
        return [random.choice(part) for part in (_VI_FAMILY, _VI_MIDDLE, _VI_GIVEN)]
    given, family = (_TH_GIVEN, _TH_FAMILY) if language == "th" else (_EN_GIVEN, _EN_FAMILY)
    return [random.choice(given), random.choice(family)]


def _letters(word: str) -> str:
    """The plain letters of a name, without tone marks; empty for a script of its own."""
    plain = unicodedata.normalize("NFD", word.lower().replace("đ", "d"))
    return "".join(letter for letter in plain if "a" <= letter <= "z")


def _identifiers(kind: str, number: int, email: str, phone: str) -> tuple[dict[str, str], ...]:
    """The identifier of this kind, then what ranks below it, so that it stays the primary one."""
    ranked = (
        {"kind": "crm_id", "namespace": "hubspot", "value": f"{7_000_000 + number}"},
        {"kind": "user_id", "value": f"u-{number:05d}"},
        {"kind": "email", "value": email},
        {"kind": "phone", "value": phone},
        {"kind": "external_id", "namespace": "loyalty", "value": f"card-{number:06d}"},
        {"kind": "anonymous_id", "value": f"browser-{number:06x}"},
    )
    place = next(place for place, one in enumerate(ranked) if one["kind"] == kind)
    return ranked[place:]
