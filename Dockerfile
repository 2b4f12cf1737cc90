# A tag can be moved: --build-arg PYTHON_IMAGE=python@sha256:… fixes the very bytes.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# Everything that is needed to build stays in this stage.
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
RUN python -m venv /opt/build && python -m venv --without-pip /opt/authsvc
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.txt \
    && /opt/build/bin/pip --python /opt/authsvc/bin/python install \
        --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY authsvc authsvc
COPY migrations migrations
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/authsvc/bin/python install \
        --no-deps --no-index /wheels/authsvc-*.whl

FROM ${PYTHON_IMAGE}
# Outbound requests trust the system's authorities. What can install or build stays out.
RUN test -s /etc/ssl/certs/ca-certificates.crt \
    && rm -rf /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/* \
        /usr/local/bin/pip* \
    && ! command -v cc && ! command -v gcc && ! command -v make
# The development defaults keep var/ and keys/ in the working directory; in production the
# database and the master key come from outside and the root file system may be read-only.
RUN groupadd --system --gid 10001 authsvc \
    && useradd --system --uid 10001 --gid authsvc --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin authsvc \
    && install --directory --owner=authsvc --group=authsvc --mode=0700 /data
COPY --from=build /opt/authsvc /opt/authsvc
ENV AUTHSVC_ENV=production PATH=/opt/authsvc/bin:$PATH PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /data
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/opt/authsvc/bin/python", "-I", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=3); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/authsvc/bin/authsvc"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
