# The daemon in a slim image: without build tools, not as root, writes nothing, needs no shell.
#   docker build -t axis-ntp-exporter .
#   docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges -p 10123:10123 \
#     -v "$PWD"/config.yaml:/etc/axis-ntp-exporter/config.yaml:ro axis-ntp-exporter

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE axis_ntp_exporter.py hatch_build.py ./
COPY exporter exporter
# Install the build backend first, so that it has the pinned version too. Only wheels are downloaded:
# nothing else is built here. The pip of this stage then installs offline into an environment that has
# no pip itself. The secrets are optional: settings of pip, for example another index, and the file
# that `cert = /run/secrets/ca.pem` in them names. Both stay out of the image.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \
    pip install --no-cache-dir --root-user-action=ignore --constraint constraints.txt hatchling \
    && pip wheel --no-cache-dir --no-build-isolation --only-binary=:all: \
        --constraint constraints.txt --wheel-dir /wheels '.[simulator]' \
    && python -m venv --without-pip /opt/axis-ntp-exporter \
    && pip --python /opt/axis-ntp-exporter/bin/python install --no-cache-dir --no-index /wheels/*.whl

FROM python:3.13-slim
# First of all: the commands below would leave 4 MB of bytecode.
ENV PATH=/opt/axis-ntp-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# Remove pip, and the wheel of pip that Python contains: nothing is installed in this image.
RUN pip uninstall --yes --no-cache-dir --root-user-action=ignore pip \
    && python -c "import ensurepip, shutil; shutil.rmtree(ensurepip.__path__[0])"
COPY --from=build /opt/axis-ntp-exporter /opt/axis-ntp-exporter
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="axis-ntp-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the clocks of Axis devices" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/axis-ntp-exporter/axis-ntp-exporter" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
USER 65534:65534
EXPOSE 10123
# Works with HTTP and TLS. Another --web.listen-address needs another health check.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["axis-ntp-exporter", "healthcheck"]
ENTRYPOINT ["axis-ntp-exporter"]
CMD ["--config.file=/etc/axis-ntp-exporter/config.yaml"]
