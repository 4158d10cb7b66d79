# One image for every process of ours; docker-compose.yml says which one runs.
FROM node:24-slim AS widget
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --ignore-scripts --omit=dev
COPY web/build.mjs ./
COPY web/src src
RUN node build.mjs

FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HUB_OFFLINE=1 \
    PYTHONPATH=/app

WORKDIR /app
COPY requirements/run.txt requirements/run.txt
# The lock as it stands: nothing is resolved.
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt && pip check

COPY agent agent
COPY control_plane control_plane
COPY offhook offhook
COPY process process
COPY scheduler scheduler
COPY sip sip
COPY speech speech
COPY --from=widget /web/dist web/dist

RUN useradd --create-home --uid 10001 offhook && mkdir /data && chown offhook /data
USER offhook
VOLUME /data
ENV OFFHOOK_DATA=/data
