"""The sample's business: how leads hear of it, what they do by the way, what it charges."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Json = dict[str, Any]
Via = tuple[str, str]  # source and channel
Extra = tuple[str, Via, Json]  # type, via, attributes

CRM, MAIL, PHONE = ("hubspot", "other"), ("sendgrid", "email"), ("pbx", "phone")
WEB, SHOP, SURVEY = ("web", "direct"), ("shop_pos", "shop"), ("typeform", "survey")
TEAMS = {"VN": ("rep-lan", "rep-minh", "rep-tuan"), "TH": ("rep-ploy", "rep-somchai", "rep-grace")}
PAYS = {"VN": ("VND", 1_000_000), "TH": ("THB", 140_000)}  # one step of price, in minor units
STAGE_IN_THE_CRM = "Negotiation"
ASKS = {
    "vi": "Cho tôi xin báo giá điện mặt trời mái nhà",
    "th": "ขอใบเสนอราคาโซลาร์รูฟท็อปครับ",
    "en": "Please send me a quote for rooftop solar",
}


class Route(NamedTuple):
    """How a lead first hears of the firm."""

    weight: int
    type: str
    via: Via
    campaign: Json | None = None
    attributes: Mapping[str, Any] = MappingProxyType({})


def _campaign(source: str, medium: str, name: str, term: str | None = None) -> Json:
    return {"source": source, "medium": medium, "name": name, "term": term, "content": None}


SEARCH_VN = _campaign("google", "cpc", "solar-vn-search", "điện mặt trời")
SEARCH_TH = _campaign("google", "cpc", "solar-th-search", "โซลาร์เซลล์")
SOCIAL = _campaign("facebook", "paid_social", "roof-of-the-month")
BANNER = _campaign("gdn", "display", "save-on-power")
BOUGHT = (SEARCH_VN, SEARCH_TH, SOCIAL, BANNER)
LETTER = _campaign("sendgrid", "email", "monthly-letter")
ROUTES = (
    Route(22, "ad_clicked", ("google_ads", "paid_search"), SEARCH_VN),
    Route(12, "ad_clicked", ("google_ads", "paid_search"), SEARCH_TH),
    Route(16, "ad_clicked", ("meta_ads", "paid_social"), SOCIAL),
    Route(5, "ad_clicked", ("google_ads", "display"), BANNER),
    Route(14, "page_viewed", ("web", "organic_search"), None, {"path": "/", "seconds": 21}),
    Route(7, "page_viewed", WEB, None, {"path": "/", "seconds": 35}),
    Route(4, "page_viewed", ("web", "referral"), None, {"path": "/reviews", "seconds": 40}),
    Route(4, "page_viewed", ("web", "blog"), None, {"path": "/blog/net-metering", "seconds": 140}),
    Route(3, "page_viewed", ("web", "video"), _campaign("youtube", "video", "how-it-works")),
    Route(2, "page_viewed", ("web", "podcast"), _campaign("podcast", "audio", "green-homes")),
    Route(2, "page_viewed", ("web", "affiliate"), _campaign("compare", "affiliate", "top-ten")),
    Route(3, "social_engaged", ("facebook", "social")),
    Route(2, "review_read", ("web", "review_site"), None, {"rating": 4.5}),
    Route(2, "cta_clicked", ("web", "post"), _campaign("leaflet", "post", "q-code"), {"cta": "qr"}),
    Route(3, "shop_visited", SHOP),
    Route(2, "sms_replied", ("esms", "sms"), _campaign("esms", "sms", "rainy-season")),
    Route(3, "chat_started", ("zalo", "chat")),
    Route(2, "chat_started", ("line", "chat")),
    Route(3, "call_connected", PHONE, None, {"seconds": 95, "direction": "in"}),
    Route(2, "lead_created", ("hubspot", "event"), _campaign("fair", "event", "home-expo")),
    Route(1, "lead_created", ("hubspot", "in_person")),
    Route(2, "referred", ("hubspot", "partner")),
    Route(1, "referred", ("hubspot", "employee")),
)
ONLINE = tuple(route for route in ROUTES if route.type in ("ad_clicked", "page_viewed"))
PATHS = ("/", "/pricing", "/pricing", "/calculator", "/products", "/reviews", "/contact", "/blog")
DOCUMENTS = ("testimonial", "case_study", "tutorial", "comparison", "price_list", "other")
LOOKING: tuple[Extra, ...] = (
    ("cta_shown", WEB, {"cta": "get_quote"}),
    ("cta_clicked", WEB, {"cta": "get_quote"}),
    ("social_engaged", ("facebook", "social"), {}),
    ("review_read", ("web", "review_site"), {"rating": 5}),
    ("webinar_registered", ("zoom", "event"), {}),
    ("webinar_attended", ("zoom", "event"), {}),
    ("chat_started", ("zalo", "chat"), {}),
    ("chat_messaged", ("line", "chat"), {}),
    ("shop_visited", SHOP, {}),
    ("trial_started", WEB, {}),
)
ON_THE_SITE = LOOKING[:2]
TALKING: tuple[Extra, ...] = (
    ("meeting_booked", CRM, {}),
    ("meeting_missed", CRM, {}),
    ("meeting_held", ("hubspot", "in_person"), {"seconds": 2_700}),
    ("demo_held", ("hubspot", "in_person"), {}),
    ("price_asked", PHONE, {}),
    ("question_answered", PHONE, {"topic": "roof", "answer": "tiles"}),
    ("objection_raised", PHONE, {"reason": "price"}),
    ("objection_resolved", PHONE, {"reason": "price", "offer": "instalments"}),
    ("sms_sent", ("esms", "sms"), {}),
    ("sms_replied", ("esms", "sms"), {}),
    ("email_replied", MAIL, {}),
)
AFTER: tuple[Extra, ...] = (
    ("purchased", SHOP, {"items": 2, "product": "battery"}),
    ("refunded", SHOP, {}),
    ("voucher_used", SHOP, {"voucher": "FRIEND-10"}),
    ("onboarded", CRM, {}),
    ("trained", ("hubspot", "in_person"), {}),
    ("ticket_opened", ("zendesk", "email"), {}),
    ("ticket_closed", ("zendesk", "email"), {}),
    ("survey_answered", SURVEY, {"score": 9, "scale": "nps"}),
    ("testimonial_given", ("hubspot", "video"), {}),
    ("review_posted", ("google_maps", "review_site"), {"rating": 5}),
    ("referral_made", CRM, {"reward": "voucher"}),
    ("renewal_due", CRM, {}),
    ("renewed", CRM, {}),
    ("churned", CRM, {}),
)
