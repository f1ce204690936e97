"""The six Arabic benchmarks (and ACVA) by the exact names of the two harnesses, and who lacks which.

Names as lm-eval and lighteval register them in the pinned versions (``scripts/harness``); a slow test asks both. For
lighteval every subset is written out: its own superset of ArabicMMLU holds ``All``, which counts every item twice, and
that of AlGhafa a ninth subset that the leaderboard dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sindbad.errors import InvalidInput


class Harness(StrEnum):
    """Who asks; the value is the name of its Python distribution."""

    LM_EVAL = "lm-eval"
    LIGHTEVAL = "lighteval"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``lm_eval``: the task or group it is asked for, "" where it has none; ``folder``: where below ``lm_eval/tasks``
    its task files are. ``lighteval``: its task's name, "" for none, with ``subsets`` after a colon. ``dataset``: on the
    Hub; ``split``: of it, the one that is asked."""

    name: str
    lm_eval: str
    folder: str
    lighteval: str
    subsets: tuple[str, ...]
    dataset: str
    split: str

    def tasks(self, harness: Harness) -> tuple[str, ...]:
        """Exact names to ask for.

        Raises:
            InvalidInput: this harness has no such task; the message names the other.
        """
        if harness is Harness.LM_EVAL and self.lm_eval:
            return (self.lm_eval,)
        if harness is Harness.LIGHTEVAL and self.lighteval:
            return tuple(f"{self.lighteval}:{subset}" for subset in self.subsets) or (self.lighteval,)
        other = next(one for one in Harness if one is not harness)
        raise InvalidInput(
            f"{harness} has no task for {self.name}; ask {other} (--with {other})", reason="HARNESS_LACKS_TASK"
        )


def _subjects(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LEADERBOARD = "arabic_leaderboard_complete"
_ALGHAFA = _subjects(
    "meta_ar_dialects meta_ar_msa multiple_choice_facts_truefalse_balanced_task "
    "multiple_choice_grounded_statement_soqal_task multiple_choice_grounded_statement_xglue_mlqa_task "
    "multiple_choice_rating_sentiment_no_neutral_task multiple_choice_rating_sentiment_task "
    "multiple_choice_sentiment_task"
)
_SCHOOLS = {
    "": ("Islamic Studies", "Driving Test", "General Knowledge"),
    "Primary School": (
        "Islamic Studies", "Natural Science", "History", "General Knowledge", "Social Science", "Arabic Language",
        "Computer Science", "Geography", "Math",
    ),
    "Middle School": (
        "Islamic Studies", "Natural Science", "History", "General Knowledge", "Social Science", "Arabic Language",
        "Computer Science", "Geography", "Economics", "Civics",
    ),
    "High School": (
        "Islamic Studies", "History", "Physics", "Arabic Language", "Philosophy", "Computer Science", "Geography",
        "Biology", "Economics", "Civics",
    ),
    "University": ("Management", "Political Science", "Accounting", "Computer Science", "Economics"),
    "Professional": ("Law",),
    "General": ("Arabic Language",),
    "Grammar": ("Arabic Language",),
}  # fmt: skip
_ARABIC_MMLU = tuple(
    f"{subject} ({level})" if level else subject for level, subjects in _SCHOOLS.items() for subject in subjects
)
_MMLU = _subjects(
    "abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry "
    "college_computer_science college_mathematics college_medicine college_physics computer_security "
    "conceptual_physics econometrics electrical_engineering elementary_mathematics formal_logic global_facts "
    "high_school_biology high_school_chemistry high_school_computer_science high_school_european_history "
    "high_school_geography high_school_government_and_politics high_school_macroeconomics high_school_mathematics "
    "high_school_microeconomics high_school_physics high_school_psychology high_school_statistics "
    "high_school_us_history high_school_world_history human_aging human_sexuality international_law jurisprudence "
    "logical_fallacies machine_learning management marketing medical_genetics miscellaneous moral_disputes "
    "moral_scenarios nutrition philosophy prehistory professional_accounting professional_law professional_medicine "
    "professional_psychology public_relations security_studies sociology us_foreign_policy virology world_religions"
)
_TRUST = _subjects("Trustfulness MentalHealth PhysicalHealth Offensive Ethics Privacy Unfairness Illegal")
_CULTURE = _subjects(
    "Algeria Ancient_Egypt Arab_Empire Arabic_Architecture Arabic_Art Arabic_Astronomy Arabic_Calligraphy "
    "Arabic_Ceremony Arabic_Clothing Arabic_Culture Arabic_Food Arabic_Funeral Arabic_Geography Arabic_History "
    "Arabic_Language_Origin Arabic_Literature Arabic_Math Arabic_Medicine Arabic_Music Arabic_Ornament "
    "Arabic_Philosophy Arabic_Physics_and_Chemistry Arabic_Wedding Bahrain Comoros Egypt_modern "
    "InfluenceFromAncientEgypt InfluenceFromByzantium InfluenceFromChina InfluenceFromGreece InfluenceFromIslam "
    "InfluenceFromPersia InfluenceFromRome Iraq Islam_Education Islam_branches_and_schools Islamic_law_system Jordan "
    "Kuwait Lebanon Libya Mauritania Mesopotamia_civilization Morocco Oman Palestine Qatar Saudi_Arabia Somalia Sudan "
    "Syria Tunisia United_Arab_Emirates Yemen communication computer_and_phone daily_life entertainment"
)

BENCHMARKS = {
    one.name: one
    for one in (
        Benchmark(
            "alghafa", "arabic_leaderboard_alghafa", f"{_LEADERBOARD}/arabic_leaderboard_alghafa", "alghafa", _ALGHAFA,
            "OALL/AlGhafa-Arabic-LLM-Benchmark-Native", "test",
        ),
        Benchmark(
            "arabicmmlu", "arabicmmlu", "arabicmmlu", "arabic_mmlu", _ARABIC_MMLU,
            "MBZUAI/ArabicMMLU", "test",
        ),
        Benchmark(
            "arbmmlu_ht", "", "", "arabic_mmlu_ht", _MMLU, "MBZUAI/human_translated_arabic_mmlu", "test",
        ),
        Benchmark(
            "arabic_exams", "arabic_exams", f"{_LEADERBOARD}/arabic_leaderboard_arabic_exams", "arabic_exams", (),
            "OALL/Arabic_EXAMS", "test",
        ),
        Benchmark(
            "madinah_qa", "", "", "madinah_qa", ("Arabic Language (General)", "Arabic Language (Grammar)"),
            "MBZUAI/MadinahQA", "test",
        ),
        Benchmark("aratrust", "", "", "aratrust", _TRUST, "asas-ai/AraTrust-categorized", "train"),
        Benchmark(
            "acva", "arabic_leaderboard_acva", f"{_LEADERBOARD}/arabic_leaderboard_avca", "acva", _CULTURE,
            "OALL/ACVA", "test",
        ),
    )
}  # fmt: skip


def find_benchmark(name: str) -> Benchmark:
    """By its name here. Raises InvalidInput with the names that there are."""
    if name not in BENCHMARKS:
        raise InvalidInput(f"there is no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
