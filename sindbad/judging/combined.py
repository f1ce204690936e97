"""Rule and model behind one call. Who may decide is the mode; who did decide is on the verdict."""

from __future__ import annotations

from dataclasses import replace

from sindbad.errors import NoModel, SindbadError
from sindbad.judging.agreement import Agreement, AgreementTally
from sindbad.judging.exact import ExactJudge
from sindbad.judging.verdict import Judge, JudgeMode, JudgeRequest, Verdict


class CombinedJudge:
    """The judge that trainers and services use.

    exact: the rule alone. llm: the model alone; where its reply is no verdict the rule decides and the reason says so.
    exact_then_llm: what the rule finds wrong the model may still accept. both: the rule decides, the model's opinion
    stands beside it. Agreement is counted over all answers that both were asked about (in exact_then_llm these are
    the rule's rejections only, so kappa means nothing there).

    Args:
        model: an :class:`LlmJudge`, or None: then mode llm raises NoModel and the others say that the rule stood alone.
    """

    def __init__(self, model: Judge | None = None, *, mode: JudgeMode = JudgeMode.EXACT) -> None:
        self._rule = ExactJudge()
        self._model = model
        self._mode = mode
        self._tally = AgreementTally()

    @property
    def agreement(self) -> Agreement:
        """Counts since this judge was made."""
        return self._tally.snapshot()

    def use_model(self, model: Judge | None) -> None:
        """Take another model, or none, for the requests to come."""
        self._model = model

    async def judge(self, request: JudgeRequest) -> Verdict:
        """Decide. NoModel, or the model's failure, only where the model alone may decide."""
        mode = request.mode or self._mode
        rule = self._rule.decide(request)
        if mode is JudgeMode.EXACT or (mode is JudgeMode.EXACT_THEN_LLM and rule.correct):
            return self._stamped(rule)
        model = await self._ask(request, must=mode is JudgeMode.LLM)
        if isinstance(model, str):
            return self._stamped(replace(rule, reason=f"{rule.reason}; no model decided: {model}"))
        if (request.answer or "").strip():
            self._tally.add(rule.correct, model.llm)
        return self._stamped(_decided(mode, rule, model))

    async def _ask(self, request: JudgeRequest, *, must: bool) -> Verdict | str:
        """The model's verdict, or why there is none."""
        if self._model is None:
            if must:
                raise NoModel("this judge holds no model; load one or judge with mode exact")
            return "none is loaded"
        try:
            return await self._model.judge(request)
        except SindbadError as error:
            if must:
                raise
            return error.message

    def _stamped(self, verdict: Verdict) -> Verdict:
        return replace(verdict, agreement=self.agreement)


def _decided(mode: JudgeMode, rule: Verdict, model: Verdict) -> Verdict:
    if model.llm is None:
        return replace(rule, reason=f"{rule.reason}; the rule decided: {model.reason}")
    if mode is JudgeMode.LLM or (mode is JudgeMode.EXACT_THEN_LLM and model.llm):
        return replace(model, exact=rule.correct)
    return replace(rule, reason=f"{rule.reason}; {model.reason}", llm=model.llm)
