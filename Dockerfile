# One image for every role; the command says which: `docker run qhronos dispatcher`.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# Every wheel that the lock lists, checked by hash; nothing below reaches the network.
COPY requirements.lock ./
RUN pip download --no-deps --require-hashes --only-binary :all: --requirement requirements.lock --dest /wheels \
    && pip install --no-index --find-links /wheels /wheels/hatchling-*.whl

COPY LICENSE README.md pyproject.toml ./
COPY migrations ./migrations
COPY qhronos ./qhronos
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv /opt/qhronos \
    && /opt/qhronos/bin/pip install --no-index --find-links /wheels qhronos \
    && /opt/qhronos/bin/pip uninstall --yes pip


FROM python:3.13-slim-bookworm
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin qhronos \
    && install --directory --owner=qhronos --group=qhronos --mode=0700 /data
COPY --from=build /opt/qhronos /opt/qhronos

# Roles without an API answer the probes on the port where the API would be.
ENV PATH=/opt/qhronos/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    QHRONOS_DATA_DIR=/data \
    QHRONOS_SERVER__HOST=0.0.0.0 \
    QHRONOS_HEALTH__HOST=0.0.0.0 \
    QHRONOS_HEALTH__PORT=8080
WORKDIR /data
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8080') + '/readyz', timeout=3)"]
ENTRYPOINT ["qhronos"]
CMD ["api"]
