# The suite as an image: for the Jobs of deploy/ and for Sonobuoy. Pin the base by the digest that images.lock has, with
#   docker build --build-arg BASE=docker.io/library/python:3.13-slim-bookworm@sha256:... --tag NAME .
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY conformance conformance
COPY suites suites
COPY fixtures fixtures
COPY kind-config kind-config
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM ${BASE}
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels kubevirt-binding-conformance \
    && rm -rf /wheels \
    && useradd --uid 10001 --no-create-home --home-dir /home/conformance conformance \
    && install -d -o 10001 -g 10001 /home/conformance /reports
COPY --chmod=755 deploy/sonobuoy/sonobuoy-plugin /usr/local/bin/sonobuoy-plugin
# everything that is written goes below /home/conformance and /tmp, so the root file system may be read-only
ENV HOME=/home/conformance XDG_STATE_HOME=/home/conformance/state XDG_CACHE_HOME=/home/conformance/cache PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/conformance
USER 10001:10001
ENTRYPOINT ["binding-conformance"]
