# syntax=docker/dockerfile:1
FROM debian:12-slim AS build
WORKDIR /source
COPY deploy/install-deps deploy/install-deps
RUN deploy/install-deps deb && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --workflow --preset deb

FROM debian:12-slim
# The package brings the libraries. ca-certificates: for TLS where mqtt.tls_ca is not set.
RUN --mount=type=bind,from=build,source=/source/build/deb/packages,target=/packages \
    apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl /packages/ocpp-persister_*.deb \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 persister \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/ocpp-persister --create-home persister
COPY --from=build /source/build/deb/consumer/ocpp-persister.cdx.json /usr/share/doc/ocpp-persister/
# By number, so that Kubernetes sees that it is not root. It writes to its volume only.
USER 10001:10001
VOLUME /var/lib/ocpp-persister
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=3s CMD ["curl", "-fsS", "http://127.0.0.1:9464/healthz"]
ENTRYPOINT ["ocpp-persister"]
CMD ["run"]
