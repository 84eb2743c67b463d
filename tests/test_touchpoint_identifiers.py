"""Identifiers in clear: one canonical form each, and the forms that suggest duplicates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from engine.identifiers import (
    Clear,
    canonical_email,
    canonical_phone,
    folded_name,
    forms_of,
    plain_email,
    why_nobody,
)
from engine.touchpoint import Identifier, Mention, Similar
from tests.edge_inputs import ANN, EMAIL, KEY, PHONE, draft, refusal, visit

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def named(*identifiers, **more):
    """The identifiers of an accepted touchpoint."""
    return draft(visit(identifiers=list(identifiers), **more)).touchpoint.identifiers


def digest(kind, namespace, value):
    return Identifier(kind, KEY.digest(kind, namespace, value))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (" ANN@Example.com ", "ann@example.com"),
        ("\tann.b+c@x.io\n", "ann.b+c@x.io"),
        ("A\u0301NH@x.vn", "ánh@x.vn"),
        ("ann@intranet", "ann@intranet"),
    ],
)
def test_an_address_is_trimmed_and_in_lower_case(written, canonical):
    assert canonical_email(written) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "ann",
        "@x.io",
        "ann@",
        "ann@b@x.io",
        "ann b@x.io",
        "ann@x. io",
        "ann\u200b@x.io",
        "ann\x07@x.io",
        "a" * 320 + "@x.io",
        "@",
    ],
)
def test_what_is_no_address_is_refused(written):
    with pytest.raises(Refused) as caught:
        canonical_email(written)
    assert caught.value.reason == "not_canonical"


@given(texts)
def test_a_canonical_address_is_its_own_canonical_form(written):
    try:
        once = canonical_email(written)
    except Refused:
        return
    assert canonical_email(once) == once


@pytest.mark.parametrize(
    ("written", "region", "canonical"),
    [
        ("+84901234567", "VN", "+84901234567"),
        (" +84 (0) 90 123-45.67 ", "VN", "+84901234567"),
        ("0084 901234567", "VN", "+84901234567"),
        ("0901 234 567", "VN", "+84901234567"),
        ("081-234-5678", "TH", "+66812345678"),
        ("๐๘๑ ๒๓๔ ๕๖๗๘", "TH", "+66812345678"),
        ("+66 81 234 5678", "VN", "+66812345678"),
        ("+16502530000", "VN", "+16502530000"),
    ],
)
def test_a_phone_number_becomes_e164(written, region, canonical):
    assert canonical_phone(written, region) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "12",
        "901234",
        "+84 12",
        "+999 123 456 789",
        "6502530000",
        "1-800-FLOWERS",
        "+16502530000 ext. 5",
        "+16502530000;ext=5",
        "tel:+16502530000",
        "+",
        "()",
        "++84901234567",
        "+84901234567890123456",
        "0901234567 / 0907654321",
    ],
)
def test_what_is_no_phone_number_or_one_in_no_known_country_is_refused(written):
    with pytest.raises(Refused) as caught:
        canonical_phone(written, "VN")
    assert caught.value.reason == "not_canonical"
    assert not any(part in caught.value.detail for part in written.split() if len(part) > 2)


@given(st.text("0123456789+-() ", max_size=20), st.sampled_from(["VN", "TH", "US"]))
def test_a_canonical_number_is_its_own_canonical_form_everywhere(written, region):
    try:
        once = canonical_phone(written, region)
    except Refused:
        return
    assert canonical_phone(once, "VN") == canonical_phone(once, "TH") == once


def test_a_digest_is_made_of_kind_namespace_and_canonical_value():
    given = [
        {"kind": "email", "value": " ANN@Example.com "},
        {"kind": "phone", "value": "0901234567"},
    ]
    assert named(*given) == (
        digest("email", "", "ann@example.com"),
        digest("phone", "", "+84901234567"),
    )


@pytest.mark.parametrize(
    ("kind", "namespace"),
    [
        ("crm_id", "web"),
        ("external_id", "web"),
        ("user_id", ""),
        ("anonymous_id", ""),
        ("click_id", ""),
    ],
)
def test_a_namespace_is_the_source_for_crm_and_external_ids_and_empty_for_others(kind, namespace):
    expected = digest(kind, namespace, "7")
    assert named({"kind": kind, "value": "7"}) == (expected,)
    assert named({"kind": kind, "value": "7", "namespace": None}) == (expected,)
    assert named({"kind": kind, "value": "7", "namespace": "shop"}) == (digest(kind, "shop", "7"),)


@pytest.mark.parametrize("one", [EMAIL, PHONE])
def test_an_address_or_phone_with_a_namespace_is_refused(one):
    refused = refusal(visit(identifiers=[{**one, "namespace": "hubspot"}]))
    assert (refused.reason, "no namespace" in refused.detail) == ("not_canonical", True)


def test_no_namespace_can_pretend_to_be_another_identifier():
    refused = refusal(visit(identifiers=[{"kind": "crm_id", "namespace": "a\x1fb", "value": "c"}]))
    assert refused.reason == "not_canonical"
    refused = refusal(visit(source="a\x1fb"))
    assert refused.reason == "not_canonical"


def test_identifiers_are_a_set_in_order_of_precedence():
    click, cookie = {"kind": "click_id", "value": "g"}, {"kind": "anonymous_id", "value": "c"}
    crm, other = {"kind": "crm_id", "value": "7"}, {"kind": "crm_id", "value": "8"}
    sevens = sorted([digest("crm_id", "web", "7"), digest("crm_id", "web", "8")])
    expected = (
        *sevens,
        digest("user_id", "", "ann"),
        digest("anonymous_id", "", "c"),
        digest("click_id", "", "g"),
    )
    assert named(click, other, cookie, ANN, crm, ANN) == expected


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("email", "n/a", "placeholder"),
        ("email", " N/A ", "placeholder"),
        ("email", "info@", "placeholder"),
        ("email", "No-Reply@shop.vn", "role"),
        ("email", "test@test.com", "placeholder"),
        ("phone", "0000000000", "placeholder"),
        ("phone", "không có", "placeholder"),
        ("phone", "ไม่มี", "placeholder"),
        ("phone", "", "empty"),
        ("crm_id", "null", "placeholder"),
        ("crm_id", "Unknown", "placeholder"),
        ("user_id", "(not set)", "placeholder"),
        ("anonymous_id", "undefined", "placeholder"),
        ("click_id", " \t", "empty"),
    ],
)
def test_identifiers_of_nobody_are_dropped_and_counted_by_reason(kind, value, reason):
    made = draft(visit(identifiers=[ANN, {"kind": kind, "value": value}]))
    assert made.touchpoint.identifiers == (digest("user_id", "", "ann"),)
    assert made.dropped == (reason,)
    alone = refusal(visit(identifiers=[{"kind": kind, "value": value}]))
    assert alone.reason == "no_identifier"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("crm_id", "0"), ("user_id", "no"), ("email", "rooted@x.io"), ("email", "info@x.io")],
)
def test_what_may_mean_somebody_is_no_placeholder(kind, value):
    assert why_nobody(kind, value) is None


def test_a_dropped_placeholder_still_is_part_of_what_was_said():
    plain, with_one = visit(), visit(identifiers=[ANN, {"kind": "email", "value": "n/a"}])
    assert draft(plain).touchpoint.content != draft(with_one).touchpoint.content


def test_a_link_with_a_placeholder_names_one_person_only():
    link = visit(type="identity_linked", identifiers=[ANN, {"kind": "email", "value": "n/a"}])
    assert refusal(link).reason == "bad_attribute"


def test_mentions_are_digested_like_identifiers_and_name_no_lead():
    given = [
        {"role": "referrer", "kind": "crm_id", "value": "7"},
        {"role": "referred", "kind": "email", "value": " BOB@x.io"},
        {"role": "referred", "kind": "email", "value": "bob@x.io"},
    ]
    touchpoint = draft(visit(mentions=given)).touchpoint
    assert touchpoint.mentions == (
        Mention("referred", "email", KEY.digest("email", "", "bob@x.io")),
        Mention("referrer", "crm_id", KEY.digest("crm_id", "web", "7")),
    )
    assert touchpoint.identifiers == (digest("user_id", "", "ann"),)
    assert refusal(visit(identifiers=None, mentions=given)).reason == "no_identifier"


def test_a_plain_address_has_no_tag_and_no_dots_before_the_at():
    assert plain_email("a.n.n+shop@x.y.io") == "ann@x.y.io"


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Nguyễn Thị Ánh", "nguyenthianh"),
        ("ĐẶNG Văn-Đức", "dangvanduc"),
        ("Somchai  O'Neil 3rd", "somchaioneilrd"),
        ("น้ำฝน", "นํา" + "ฝน"),
        ("สมชาย", "สมชาย"),
        ("สมชัย", "สมชัย"),
        ("?!", ""),
    ],
)
def test_a_name_is_folded_to_letters_without_tone_marks(name, folded):
    assert folded_name(name) == folded


def test_a_phone_number_s_forms_are_its_tail_and_itself_with_one_digit_left_out():
    forms = list(forms_of(Clear("phone", "", "+8490")))
    assert forms == [
        Clear("phone_tail", "", "+8490"[-8:]),
        *(Clear("phone_minus", "", rest) for rest in ("+490", "+890", "+840", "+849")),
    ]
    tails = [
        one for one in forms_of(Clear("phone", "", "+84901234567")) if one.kind == "phone_tail"
    ]
    assert tails == [Clear("phone_tail", "", "01234567")]


def test_numbers_with_one_digit_more_share_a_form():
    short = set(forms_of(Clear("phone", "", "+84901234567")))
    long = set(forms_of(Clear("phone", "", "+849012345678")))
    assert not short & long
    with_itself = {one.value for one in long if one.kind == "phone_minus"}
    assert "+84901234567" in with_itself


def test_similar_forms_are_keyed_digests_sorted():
    given = visit(identifiers=[EMAIL], account="ACME", personal={"name": "Ann B"})
    assert draft(given).touchpoint.similar == (
        Similar("email_plain", KEY.digest("email_plain", "", "ann@example.com")),
        Similar("name_account", KEY.digest("name_account", "ACME", "annb")),
    )


def test_a_name_without_an_account_suggests_nothing():
    assert draft(visit(personal={"name": "Ann B"})).touchpoint.similar == ()


def test_personal_addresses_and_numbers_suggest_too():
    personal = draft(visit(personal={"email": "A.NN@Example.com", "phone": "0901234567"}))
    known = draft(visit(identifiers=[ANN, EMAIL, PHONE]))
    assert personal.touchpoint.similar == known.touchpoint.similar != ()


def test_a_personal_number_that_is_none_is_kept_as_written_and_suggests_nothing():
    made = draft(visit(personal={"phone": "after six, ask for Ann"}))
    assert made.personal == {"phone": "after six, ask for Ann"}
    assert made.touchpoint.similar == ()
