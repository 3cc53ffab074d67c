# The reviewer with a Python and PostgreSQL servers of its own, for any CI system and for machines without Python:
#
#   docker build -t alembic-reviewer .
#   docker run --rm -v "$PWD:/src" alembic-reviewer review --install "pip install -r requirements.txt"
#
# For a build that is the same every time give the base by digest:
#   --build-arg BASE=debian:bookworm-slim@sha256:...
ARG BASE=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${BASE} AS packages
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

FROM packages AS environment
COPY requirements.lock /build/
RUN python3 -m venv /opt/alembic-reviewer/environment \
    && /opt/alembic-reviewer/environment/bin/pip install \
        --no-cache-dir --no-compile --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement /build/requirements.lock \
    && rm -rf /opt/alembic-reviewer/environment/lib/python3.*/site-packages/pip \
              /opt/alembic-reviewer/environment/lib/python3.*/site-packages/setuptools
COPY reviewer /opt/alembic-reviewer/source/reviewer
COPY checks /opt/alembic-reviewer/source/checks
COPY alembic_reviewer.py /opt/alembic-reviewer/source/alembic_reviewer.py
COPY image/alembic-reviewer /opt/alembic-reviewer/bin/alembic-reviewer
# a path file instead of an installation: nothing is built, so nothing else is needed
RUN printf '/opt/alembic-reviewer/source\n' \
        > "$(echo /opt/alembic-reviewer/environment/lib/python3.*/site-packages)/alembic-reviewer.pth" \
    && /opt/alembic-reviewer/environment/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        /opt/alembic-reviewer \
    && chmod 0755 /opt/alembic-reviewer/bin/alembic-reviewer

FROM packages
COPY --from=environment /opt/alembic-reviewer /opt/alembic-reviewer
# the folder that is mounted belongs to somebody else, and git only reads it
RUN useradd --create-home --uid 10001 reviewer \
    && git config --system --add safe.directory '*'
ENV PATH=/opt/alembic-reviewer/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8
USER 10001
WORKDIR /src
ENTRYPOINT ["alembic-reviewer"]
CMD ["--help"]
