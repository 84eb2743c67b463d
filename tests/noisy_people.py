"""Made-up people with Vietnamese, Thai and English names, and how records of them go wrong.

Addresses are at the domains kept for examples; numbers are valid in form.
"""

import unicodedata
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from phonenumbers import is_valid_number, parse

FAMILY = {  # a word, as it may be written: in Thai, in Latin letters, in others
    "vi": "Nguyễn Nguyễn Nguyễn Trần Trần Lê Lê Phạm Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ",
    "th": "ใจดี/Jaidee/Chaidi แก้วมณี/Kaewmanee/Kaeomani ทองดี/Thongdee/Tongdi มีสุข/Meesuk/Misook "
    "ทองสุข/Thongsuk/Tongsook บุญมา/Boonma/Bunma รุ่งเรือง/Rungruang/Roongrueang ศรีสุข/Srisuk/Srisook "
    "แสงทอง/Saengthong/Sangtong สายทอง/Saithong/Saitong พันธุ์ดี/Phandee/Pandi "
    "วงศ์สวัสดิ์/Wongsawat/Vongsawad ชัยมงคล/Chaimongkol/Chaimongkhon สุขเกษม/Sukkasem/Sookkasem",
    "en": "Atkins Barlow Chandler Dawson Ellery Fairbanks Granger Holloway Ingram Jessop Kirkwood "
    "Langford Merrick Norwood Pemberton Radcliffe Sheffield Thornton Whitaker Smith Smith Jones",
}
GIVEN = {
    "vi": "An Anh Ánh Bình Châu Dũng Dung Duyên Giang Hà Hạnh Hiếu Hùng Hưng Hương Khánh Lan Lân "
    "Linh Long Mai Nam Nga Nhung Phúc Phương Quân Quỳnh Sơn Tâm Thảo Thủy Trang Trung Tuấn Vy Yến",
    "th": "สมชาย/Somchai/Somchay สมหญิง/Somying/Somhying กิตติ/Kitti/Kitty ณัฐพล/Nattapon/Natthaphon "
    "ธนพร/Thanaporn/Tanaporn วีระ/Weera/Vira ศิริพร/Siriporn/Siripon สุดารัตน์/Sudarat/Sudarath "
    "สุรชัย/Surachai/Surachay อนุชา/Anucha/Anusha อรทัย/Orathai/Orathay ปิยะดา/Piyada/Piyadha "
    "ประเสริฐ/Prasert/Prasoet พิมพ์ชนก/Pimchanok/Phimchanok มานพ/Manop/Manob นิพนธ์/Nipon/Niphon",
    "en": "Alice Daniel/Dan Katherine/Kate Emma Fiona George Hannah Isaac Julia Kevin Laura Nora "
    "Michael/Mike Oliver/Ollie Paula Rachel Simon Thomas/Tom Victor William/Bill Elizabeth/Liz",
}
MIDDLE = "Thị Thị Văn Văn Hữu Đức Minh Ngọc Thanh Quang Thùy Gia Bảo Kim Xuân Hoài".split()
_HONORIFICS = {
    "vi": ("Anh", "Chị", "Mr.", "Ms", "Ông", "Bà", "Cô"),
    "th": ("คุณ", "Khun", "Mr.", "Ms", "น.ส."),
    "en": ("Mr", "Mrs", "Ms", "Dr."),
}
MAIL = ("gmail", "gmail", "gmail", "yahoo", "hotmail", "outlook")
_TAGS = ("shop", "news", "fb", "2025", "tiki", "work")
MOBILE = {
    "vi": [f"+84{n}" for n in (32, 33, 35, 37, 39, 56, 70, 77, 79, 81, 83, 85, 86, 90, 91, 93, 97)],
    "th": [f"+66{n}" for n in (61, 62, 63, 64, 65, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 95, 98)],
    "en": ["+8490", "+8491", "+6681", "+6689", "+6140", "+6141", "+44771"],
}
_TONES = {"\u0300": "f", "\u0301": "s", "\u0309": "r", "\u0303": "x", "\u0323": "j"}
_SHAPES = {"\u0302": "", "\u0306": "w", "\u031b": "w"}  # a circumflex is the letter once more


# Given names that are one without tone marks.
ALIKE = (("Hùng", "Hưng"), ("Lan", "Lân"), ("Dũng", "Dung"), ("An", "Ân"), ("Anh", "Ánh"))


class Person(NamedTuple):
    """Somebody who does not exist; each part of the name as it may be written."""

    number: int
    language: str
    given: list[str]
    family: list[str]
    middle: str
    email: str
    phone: str  # E.164
    account: str

    @property
    def name(self) -> str:
        """As this person writes it."""
        if self.language == "vi":
            return f"{self.family[0]} {self.middle} {self.given[0]}"
        return f"{self.given[0]} {self.family[0]}"

    @property
    def latin(self) -> tuple[str, str]:
        """Given and family name as they get into addresses."""
        place = 1 if self.language == "th" else 0
        return letters(self.given[place]), letters(self.family[place])


def letters(text: str) -> str:
    """A text in lower-case ASCII letters."""
    plain = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in plain if "a" <= letter <= "z")


# Names: each noise gives the name on both records.


def without_marks(person: Person, random: Random) -> tuple[str, str]:
    plain = unicodedata.normalize("NFD", person.name.replace("đ", "d").replace("Đ", "D"))
    return person.name, "".join(mark for mark in plain if not unicodedata.combining(mark))


def other_order(person: Person, random: Random) -> tuple[str, str]:
    if person.language == "vi":
        return person.name, f"{person.given[0]} {person.family[0]} {person.middle}"
    comma = "," if person.language == "en" else ""
    return person.name, f"{person.family[0]}{comma} {person.given[0]}"


def telex_slip(person: Person, random: Random) -> tuple[str, str]:
    words = person.name.split()
    place = random.randrange(len(words))
    return person.name, " ".join([*words[:place], telex(words[place]), *words[place + 1 :]])


def telex(word: str) -> str:
    """The keys that were hit for a word, where nothing turned them into letters."""
    typed, tone = "", ""
    for mark in unicodedata.normalize("NFD", word.replace("đ", "dd").replace("Đ", "Dd")):
        tone = _TONES.get(mark, tone)
        if mark not in _TONES:
            typed += _SHAPES.get(mark, mark) or typed[-1].lower()
    return typed + tone


def with_honorific(person: Person, random: Random) -> tuple[str, str]:
    return person.name, f"{random.choice(_HONORIFICS[person.language])} {person.name}"


def other_script(person: Person, random: Random) -> tuple[str, str]:
    return person.name, f"{person.given[1]} {person.family[1]}"


def other_romanisation(person: Person, random: Random) -> tuple[str, str]:
    return f"{person.given[1]} {person.family[1]}", f"{person.given[2]} {person.family[2]}"


def short_form(person: Person, random: Random) -> tuple[str, str]:
    return person.name, f"{person.given[-1]} {person.family[0]}"


def in_capitals(person: Person, random: Random) -> tuple[str, str]:
    return person.name, person.name.upper()


def unchanged(person: Person, random: Random) -> tuple[str, str]:
    return person.name, person.name


NAME_NOISE: dict[str, dict[str, Callable[[Person, Random], tuple[str, str]]]] = {
    "vi": {
        "no tone marks": without_marks,
        "names in another order": other_order,
        "Telex slip": telex_slip,
        "honorific": with_honorific,
        "capitals": in_capitals,
        "same name": unchanged,
    },
    "th": {
        "other script": other_script,
        "other romanisation": other_romanisation,
        "names in another order": other_order,
        "honorific": with_honorific,
        "same name": unchanged,
    },
    "en": {
        "names in another order": other_order,
        "honorific": with_honorific,
        "short form": short_form,
        "capitals": in_capitals,
        "same name": unchanged,
    },
}

# Addresses and numbers


def tagged(email: str, random: Random) -> str:
    """The same mailbox, written otherwise."""
    name, _, domain = email.partition("@")
    if random.random() < 0.6:
        return f"{name}+{random.choice(_TAGS)}@{domain}"
    if "." in name:
        return f"{name.replace('.', '')}@{domain}"
    place = random.randrange(1, len(name))
    return f"{name[:place]}.{name[place:]}@{domain}"


def mistyped(email: str, random: Random) -> str:
    name, _, domain = email.partition("@")
    if random.random() < 0.3:
        return f"{name}@{slip(domain.partition('.')[0], random)}.example"
    return f"{slip(name, random)}@{domain}"


def slip(word: str, random: Random) -> str:
    """A letter left out, doubled or swapped with the next."""
    place = random.randrange(1, len(word) - 1)
    before, here, after = word[:place], word[place], word[place + 1 :]
    other = random.choice([before + after, before + here + here + after])
    return before + after[0] + here + after[1:] if random.random() < 0.4 else other


def wrong_digit(phone: str, random: Random) -> str:
    place = random.randrange(4, len(phone))
    digit = random.choice([one for one in "0123456789" if one != phone[place]])
    return phone[:place] + digit + phone[place + 1 :]


def swapped_digits(phone: str, random: Random) -> str:
    places = [at for at in range(4, len(phone) - 1) if phone[at] != phone[at + 1]]
    place = random.choice(places)
    return phone[:place] + phone[place + 1] + phone[place] + phone[place + 2 :]


def wrong_length(phone: str, random: Random) -> str:
    place = random.randrange(4, len(phone))
    return phone[:place] + random.choice(("", phone[place] * 2)) + phone[place + 1 :]


def wrong_country(phone: str, random: Random) -> str:
    return ("+66" if phone.startswith("+84") else "+84") + phone[3:]


def written(phone: str, random: Random) -> str:
    """A number as people write it; what is none as it was typed."""
    number = parse(phone)
    if not is_valid_number(number):
        return phone
    local = f"0{phone[3:6]} {phone[6:9]} {phone[9:]}"
    grouped = f"{phone[:3]} {phone[3:6]}-{phone[6:9]}-{phone[9:]}"
    return random.choice((phone, grouped, local if phone.startswith("+84") else grouped))
