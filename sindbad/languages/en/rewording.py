"""English: what a model may change in a question."""

from __future__ import annotations

from sindbad.languages.rewording import RewordingRules

RULES = RewordingRules(
    prompt=(
        "Rewrite the following question so that it reads naturally. Keep every name, every number, every letter label "
        "such as 'film A', every vague amount and every relation exactly as stated; add nothing, leave nothing out, do "
        "not answer it. Reply with the question alone.\n\n{text}"
    ),
    paraphrases={
        "was born in": ("birthplace is", "a native of"),
        "died in": ("death in", "passed away in"),
        "is married to": ("spouse of", "wife of", "husband of"),
        "was directed by": ("director is", "the director of"),
        "was written by": ("writer is", "the writer of"),
        "was founded by": ("founder is", "the founder of"),
        "shares a border with": ("borders", "bordering", "neighbours", "shares borders with"),
        "has its capital at": ("capital is", "whose capital is"),
        "works for": ("employed by", "employee of"),
    },
    auxiliaries=("is", "was", "were", "are", "has", "have", "had", "been"),
    degrees=(
        "how many", "highest", "lowest", "higher", "lower", "earliest", "latest", "earlier", "later", "differ", "plus",
        "top fifth", "bottom fifth", "early", "mid", "late", "about", "at least", "at most", "between", "century",
        "before", "after", "since", "until", "more than", "less than", "fewer than", "or more", "or less", "thousand",
        "million", "billion", "trillion", "when", "where", "why", "which year", "what year", "how much", "how long",
        "how old",
    ),
    hedges=("some say", "may be wrong", "claimed", "allegedly", "reportedly", "rumour", "rumor", "said to"),
    negations=frozenset({"not", "never", "no", "neither", "nor", "except", "without", "unless"}),
)  # fmt: skip
