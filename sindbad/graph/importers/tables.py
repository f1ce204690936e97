"""The wording of the real graphs, English and Arabic, by hand: a line each. (label, phrase, label_ar, phrase_ar)

Arabic phrases stand in the gender that their subjects mostly have; :mod:`sindbad.languages.ar.agreement` has the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sindbad.graph.importers.wording import Wording, Words

RELATIONS: Final[Mapping[str, Words]] = {
    # CoDEx: all 42 relations of Wikidata
    "P101": Words("field of work", "works in the field of", "مجال العمل", "مجال عمله هو"),
    "P102": Words("political party", "is a member of the political party", "الحزب السياسي", "حزبه السياسي هو"),
    "P106": Words("occupation", "has the occupation", "المهنة", "مهنته هي"),
    "P108": Words("employer", "was employed by", "جهة العمل", "جهة عمله هي"),
    "P1050": Words("medical condition", "has the medical condition", "الحالة الطبية", "حالته الطبية هي"),
    "P112": Words("founder", "was founded by", "المؤسس", "مؤسسه هو"),
    "P119": Words("place of burial", "is buried in", "مكان الدفن", "مدفون في"),
    "P1303": Words("instrument", "plays the instrument", "الآلة الموسيقية", "آلته الموسيقية هي"),
    "P135": Words("movement", "belongs to the movement", "الحركة", "ينتمي إلى حركة"),
    "P136": Words("genre", "works in the genre", "النوع الفني", "نوعه الفني هو"),
    "P138": Words("namesake", "is named after", "سبب التسمية", "سمي نسبة إلى"),
    "P140": Words("religion", "has the religion", "الدين", "ديانته هي"),
    "P1412": Words("language spoken", "speaks or writes", "لغة الكتابة أو التحدث", "يتحدث أو يكتب بلغة"),
    "P159": Words("headquarters", "has its headquarters in", "المقر الرئيسي", "مقره الرئيسي في"),
    "P161": Words("cast member", "has as a member of its cast", "عضو طاقم التمثيل", "من طاقم تمثيله"),
    "P17": Words("country", "is in the country", "البلد", "يقع في دولة"),
    "P172": Words("ethnic group", "belongs to the ethnic group", "المجموعة العرقية", "مجموعته العرقية هي"),
    "P19": Words("place of birth", "was born in", "مكان الولادة", "ولد في"),
    "P20": Words("place of death", "died in", "مكان الوفاة", "توفي في"),
    "P2348": Words("time period", "belongs to the time period", "الفترة الزمنية", "فترته الزمنية هي"),
    "P26": Words("spouse", "is or was married to", "الزوج أو الزوجة", "تزوج من"),
    "P264": Words("record label", "records for the label", "شركة التسجيلات", "شركة تسجيلاته هي"),
    "P27": Words("citizenship", "is a citizen of", "بلد المواطنة", "بلد مواطنته هو"),
    "P30": Words("continent", "is on the continent", "القارة", "يقع في قارة"),
    "P3095": Words("practised by", "is practised by", "الممارس", "يمارسه"),
    "P3373": Words("sibling", "is a sibling of", "الأخ أو الأخت", "من إخوته"),
    "P35": Words("head of state", "has as its head of state", "رأس الدولة", "رأس الدولة فيها هو"),
    "P361": Words("part of", "is part of", "جزء من", "جزء من"),
    "P37": Words("official language", "has the official language", "اللغة الرسمية", "لغتها الرسمية هي"),
    "P40": Words("child", "has the child", "الابن أو الابنة", "من أبنائه"),
    "P451": Words("partner", "is or was the partner of", "الشريك", "ارتبط بعلاقة مع"),
    "P463": Words("member of", "is a member of", "العضوية", "عضو في"),
    "P495": Words("country of origin", "originates from", "بلد المنشأ", "بلد منشئه هو"),
    "P509": Words("cause of death", "died of", "سبب الوفاة", "سبب وفاته هو"),
    "P530": Words(
        "diplomatic relation", "has diplomatic relations with", "العلاقات الدبلوماسية", "لها علاقات دبلوماسية مع"
    ),
    "P551": Words("residence", "lives or lived in", "مكان الإقامة", "أقام في"),
    "P69": Words("educated at", "was educated at", "مكان الدراسة", "درس في"),
    "P737": Words("influence", "was influenced by", "المؤثر", "تأثر بـ"),
    "P740": Words("place of formation", "was formed in", "مكان التأسيس", "تأسس في"),
    "P749": Words("parent organization", "has as its parent organization", "المؤسسة الأم", "مؤسسته الأم هي"),
    "P800": Words("notable work", "is known for the work", "أهم الأعمال", "أهم أعماله هو"),
    "P840": Words("narrative location", "is set in", "مكان الأحداث", "تدور أحداثه في"),
    # countries (and P37, P361)
    "borders": Words("neighbouring country", "shares a border with", "الدولة المجاورة", "تجاور"),
    "capital": Words("capital", "has its capital at", "العاصمة", "عاصمتها"),
    "currency": Words("currency", "uses the currency", "العملة", "عملتها"),
    "in_region": Words("region", "lies in the region", "الإقليم", "تقع في إقليم"),
    "subdivision_of": Words("country", "is a subdivision of", "الدولة", "هو قسم إداري من"),
    # Nobel prizes (and P19, P20, P740: one relation, one id, whoever states it)
    "won": Words("prize", "was awarded", "الجائزة", "نال"),
    "prize_in": Words("field of the prize", "is a prize for", "مجال الجائزة", "هي جائزة في"),
    "affiliated_with": Words(
        "affiliation", "worked, when the prize was awarded, at", "جهة العمل", "كان يعمل عند نيل الجائزة في"
    ),
    "located_in": Words("location", "is located in", "الموقع", "يقع في"),
    "city_in": Words("country", "is a city in", "الدولة", "مدينة في"),
    # elements
    "in_category": Words("category", "is in the category", "الفئة", "ينتمي إلى فئة"),
    "discovered_by": Words("discoverer", "was discovered by", "المكتشف", "مكتشفه هو"),
    "named_by": Words("name giver", "was named by", "صاحب التسمية", "سماه"),
    "in_period": Words("period", "stands in", "الدورة", "يقع في"),
    "in_group": Words("group", "belongs to", "المجموعة", "من عناصر"),
    "next_element": Words("next element", "comes right before the element", "العنصر التالي", "يليه في الجدول الدوري"),
    # wikispeedia
    "links_to": Words("link", "links to the article on", "الوصلة", "تشير صفحته إلى"),
    "about": Words("subject", "belongs to the subject", "الموضوع", "ينتمي إلى موضوع"),
    # MetaQA
    "directed_by": Words("director", "was directed by", "المخرج", "أخرجه"),
    "written_by": Words("writer", "was written by", "الكاتب", "كتبه"),
    "starred_actors": Words("actor", "stars", "الممثل", "من بطولة"),
    "has_genre": Words("genre", "has the genre", "النوع", "نوعه"),
    "in_language": Words("language", "is in the language", "اللغة", "لغته"),
    "has_tags": Words("tag", "has the tag", "الوسم", "من وسومه"),
}  # fmt: skip

TYPES: Final[Mapping[str, Words]] = {
    "person": Words("person", "is a person", "شخص", "هو شخص"),
    "country": Words("country", "is a country or territory", "دولة", "هي دولة أو إقليم"),
    "city": Words("city", "is a city or town", "مدينة", "هي مدينة أو بلدة"),
    "language": Words("language", "is a language", "لغة", "هي لغة"),
    "currency": Words("currency", "is a currency", "عملة", "هي عملة"),
    "region": Words("region", "is a region of the world", "إقليم", "هو إقليم من أقاليم العالم"),
    "continent": Words("continent", "is a continent or part of the world", "قارة", "هي قارة أو جزء من العالم"),
    "subdivision": Words("subdivision", "is an administrative area", "قسم إداري", "هو قسم إداري داخل دولة"),
    "occupation": Words("occupation", "is an occupation", "مهنة", "هي مهنة"),
    "organization": Words("organization", "is an organization", "منظمة", "هي منظمة"),
    "university": Words("university", "is a university", "جامعة", "هي جامعة"),
    "institution": Words("institution", "is an institution", "مؤسسة", "هي مؤسسة"),
    "record label": Words("record label", "is a record label", "شركة تسجيلات", "هي شركة تسجيلات"),
    "genre": Words("genre", "is a genre", "نوع فني", "هو نوع فني"),
    "instrument": Words("instrument", "is a musical instrument", "آلة موسيقية", "هي آلة موسيقية"),
    "disease": Words("disease", "is a disease or condition", "مرض", "هو مرض أو حالة طبية"),
    "religion": Words("religion", "is a religion or world view", "دين", "هو دين أو معتقد"),
    "ethnic group": Words("ethnic group", "is an ethnic group", "مجموعة عرقية", "هي مجموعة عرقية"),
    "field": Words("field of study", "is a field of study", "مجال دراسي", "هو مجال دراسي"),
    "period": Words("historical period", "is a historical period", "حقبة تاريخية", "هي حقبة تاريخية"),
    "place": Words("place", "is a place", "مكان", "هو مكان"),
    "work": Words("work", "is a creative work", "عمل إبداعي", "هو عمل إبداعي"),
    "concept": Words("concept", "is a concept", "مفهوم", "هو مفهوم"),
    "prize": Words("prize", "is a prize of one year", "جائزة", "هي جائزة سنة واحدة"),
    "prize category": Words("prize category", "is a category of prizes", "فئة جوائز", "هي فئة من الجوائز"),
    "element": Words("chemical element", "is a chemical element", "عنصر كيميائي", "هو عنصر كيميائي"),
    "element category": Words("category of elements", "is a category of elements", "فئة عناصر", "هي فئة من العناصر"),
    "element period": Words(
        "period of elements", "is a period of the periodic table", "دورة", "هي دورة في الجدول الدوري"
    ),
    "element group": Words(
        "group of elements", "is a group of the periodic table", "مجموعة", "هي مجموعة في الجدول الدوري"
    ),
    "discoverer": Words("discoverer", "is a discoverer of elements", "مكتشف", "هو مكتشف عناصر"),
    "article": Words("article", "is an encyclopedia article", "مقالة", "هي مقالة موسوعية"),
    "subject": Words("subject", "is a subject of an encyclopedia", "موضوع", "هو موضوع في موسوعة"),
    "movie": Words("film", "is a film", "فيلم", "هو فيلم"),
    "tag": Words("tag", "is a tag of films", "وسم", "هو وسم أفلام"),
}  # fmt: skip

ATTRIBUTES: Final[Mapping[str, Words]] = {
    "population": Words("population", "has a population of", "عدد السكان", "عدد سكانها"),
    "area": Words("area", "has an area of", "المساحة", "مساحتها"),
    "latitude": Words("latitude", "lies at the latitude", "خط العرض", "يقع على خط العرض"),
    "longitude": Words("longitude", "lies at the longitude", "خط الطول", "يقع على خط الطول"),
    "median_age": Words("median age", "has a median age of", "العمر الوسيط", "العمر الوسيط لسكانها"),
    "life_expectancy": Words(
        "life expectancy", "has a life expectancy of", "متوسط العمر المتوقع", "متوسط العمر المتوقع فيها"
    ),
    "coastline": Words("coastline", "has a coastline of", "طول الساحل", "طول ساحلها"),
    "land_boundaries": Words("land boundaries", "has land boundaries of", "طول الحدود البرية", "طول حدودها البرية"),
    "birth_date": Words("date of birth", "was born on", "تاريخ الميلاد", "تاريخ ميلاده"),
    "death_date": Words("date of death", "died on", "تاريخ الوفاة", "تاريخ وفاته"),
    "foundation_date": Words("date of foundation", "was founded on", "تاريخ التأسيس", "تاريخ تأسيسه"),
    "award_date": Words("date of award", "was awarded in", "تاريخ المنح", "تاريخ منحها"),
    "motivation": Words("motivation", "was honoured with the words:"),
    "atomic_number": Words("atomic number", "has the atomic number", "العدد الذري", "عدده الذري"),
    "atomic_mass": Words("atomic mass", "has the atomic mass", "الكتلة الذرية", "كتلته الذرية"),
    "melting_point": Words("melting point", "melts at", "درجة الانصهار", "درجة انصهاره"),
    "boiling_point": Words("boiling point", "boils at", "درجة الغليان", "درجة غليانه"),
    "symbol": Words("symbol", "has the symbol", "الرمز", "رمزه"),
    "release_date": Words("date of release", "was released in", "تاريخ الإصدار", "تاريخ إصداره"),
    "imdb_rating": Words("rating", "has the rating"),
    "imdb_votes": Words("votes", "has votes that are called"),
}  # fmt: skip

REAL: Final = Wording(RELATIONS, TYPES, ATTRIBUTES)
