# syntax=docker/dockerfile:1
# `sindbad evaluate harness` with lm-eval and lighteval, each in an environment of its own: their pins are neither ours
# nor each other's.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt ./
COPY scripts/harness scripts/harness
# What scripts/install.sh lm-eval lighteval installs too, torch first as there; a test holds both to it.
RUN set -e; for harness in lm-eval lighteval; do \
      python -m venv /venv-$harness; \
      /venv-$harness/bin/pip install --no-cache-dir "$(grep -E '^torch==' constraints.txt)"; \
      /venv-$harness/bin/pip install --no-cache-dir -r scripts/harness/$harness.txt; \
    done
COPY pyproject.toml README.md ./
COPY sindbad sindbad
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -c constraints.txt ".[corpus]"

FROM python:3.11-slim-bookworm
COPY --from=build /venv-lm-eval /venv-lm-eval
COPY --from=build /venv-lighteval /venv-lighteval
COPY --from=build /venv /venv
WORKDIR /app
ENV PATH=/venv/bin:$PATH SINDBAD_LM_EVAL_PYTHON=/venv-lm-eval/bin/python SINDBAD_LIGHTEVAL_PYTHON=/venv-lighteval/bin/python PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
ENTRYPOINT ["sindbad", "evaluate", "harness"]
