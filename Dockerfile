# syntax=docker/dockerfile:1
FROM debian:12-slim AS build
WORKDIR /source
COPY deploy/install-deps deploy/install-deps
RUN deploy/install-deps build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release \
    && cmake --build --preset release --target ocpp-persister

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates curl \
        libpaho-mqtt1.3 libpq5 libmsgpackc2 libev4 libyajl2 libini-config5 \
        libmicrohttpd12 libssl3 libzstd1 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/ocpp-persister --create-home persister
COPY --from=build /source/build/release/ocpp-persister /usr/local/bin/
USER persister
VOLUME /var/lib/ocpp-persister
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=3s CMD ["curl", "-fsS", "http://127.0.0.1:9464/healthz"]
ENTRYPOINT ["ocpp-persister"]
CMD ["run"]
