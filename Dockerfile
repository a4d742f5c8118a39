# The daemon in a slim image: no build tools, no shell needed, not root.
#   docker build -t axis-ntp-exporter .
#   docker run --read-only -p 10123:10123 -v ./config.yaml:/etc/axis-ntp-exporter/config.yaml:ro axis-ntp-exporter

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY exporter exporter
# The pip of the build image installs into an environment that has none itself.
RUN python -m venv --without-pip /opt/axis-ntp-exporter \
    && pip --python /opt/axis-ntp-exporter/bin/python install --no-cache-dir \
        --constraint constraints.txt '.[simulator]'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="axis-ntp-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the clocks of Axis devices" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/axis-ntp-exporter /opt/axis-ntp-exporter
ENV PATH=/opt/axis-ntp-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 65534:65534
EXPOSE 10123
ENTRYPOINT ["axis-ntp-exporter"]
CMD ["--config.file=/etc/axis-ntp-exporter/config.yaml"]
