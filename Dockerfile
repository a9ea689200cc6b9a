# An image that runs any study: docker build -t nanotarget:0.1.0 .
#   docker run --rm --network none -v "$PWD":/study nanotarget:0.1.0 all study.yaml
# docs/cluster.md says how Kubernetes runs it, and what of this has been tried.
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /opt/nanotarget
COPY requirements.lock requirements-kubernetes.lock ./
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock -r requirements-kubernetes.lock
COPY LICENSE README.md pyproject.toml Snakefile config.yaml ./
COPY data ./data
COPY workflow ./workflow
# Byte-compiled at once: nobody may write here later.
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && .venv/bin/python -m compileall -q -j 0 .venv/lib workflow/nanotarget

FROM python:3.11.13-slim-bookworm
# libgomp1: threads of the learner `boosting`; kubernetes-client: jobs as pods.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 kubernetes-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /tmp --no-create-home nanotarget
COPY --from=build /opt/nanotarget /opt/nanotarget
ENV PATH=/opt/nanotarget/.venv/bin:$PATH HOME=/tmp PYTHONSAFEPATH=1
USER 10001
WORKDIR /study
ENTRYPOINT ["nanotarget"]
CMD ["--help"]
