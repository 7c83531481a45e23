# nginx with the module: the gateway.

FROM debian:trixie-slim AS build

WORKDIR /src
COPY scripts scripts
RUN scripts/deps.sh build

COPY Makefile config config.make ./
COPY redis redis
COPY ngx_http_binarize_module ngx_http_binarize_module
RUN make && make install DESTDIR=/out


FROM debian:trixie-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates curl nginx libcjson1 libhiredis1.1.0 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd -g 1500 binarize \
    && useradd -u 1501 -g binarize -M -d /nonexistent -s /usr/sbin/nologin \
        gateway

COPY --from=build /out /
COPY docker/nginx.conf docker/gateway /etc/binarize/

USER gateway
EXPOSE 8080
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["curl", "-fsS", "-m", "2", "http://127.0.0.1:8080/healthz"]

CMD ["sh", "/etc/binarize/gateway"]
