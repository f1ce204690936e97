"""Is an answer right? The rule (normalised exact match) and a language model behind one call.

Importing this package needs neither torch nor transformers.
"""

from sindbad.judging.agreement import Agreement, AgreementTally
from sindbad.judging.combined import CombinedJudge
from sindbad.judging.exact import ExactJudge
from sindbad.judging.verdict import DecidedBy, Judge, JudgeMode, JudgeRequest, Verdict

__all__ = [
    "Agreement",
    "AgreementTally",
    "CombinedJudge",
    "DecidedBy",
    "ExactJudge",
    "Judge",
    "JudgeMode",
    "JudgeRequest",
    "Verdict",
]
