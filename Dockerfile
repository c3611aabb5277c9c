# syntax=docker/dockerfile:1
# One build of the whole workspace, one small image for each program:
#   docker build --target gateway --tag marquee/gateway .
# Targets: gateway, movie-service, preference-service, recommendation-service, demo-tmdb.

ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
# An image is built seldom and runs for long, so it takes the time that link-time optimization needs.
# The image has a single toolchain; without this, rustup would install the one pinned in rust-toolchain.toml.
ARG RUST_VERSION
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION} \
    CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_LTO=thin
COPY . .
# The caches are not part of the image, so the programs are copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --workspace --bins \
    && install -D -t /programs \
        target/release/gateway \
        target/release/movie-service \
        target/release/preference-service \
        target/release/recommendation-service \
        target/release/demo-tmdb

# What every program runs on: glibc, the certificates that TMDB's is checked against, a user without rights.
FROM debian:bookworm-slim AS runtime
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SERVER_HOST=0.0.0.0 \
    LOG_FORMAT=json
WORKDIR /
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS gateway
COPY --from=build /programs/gateway /usr/local/bin/gateway
ENV SERVER_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]

FROM runtime AS movie-service
COPY --from=build /programs/movie-service /usr/local/bin/movie-service
ENV SERVER_PORT=8081
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["movie-service", "healthcheck"]
ENTRYPOINT ["movie-service"]

FROM runtime AS preference-service
COPY --from=build /programs/preference-service /usr/local/bin/preference-service
ENV SERVER_PORT=8082
EXPOSE 8082
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["preference-service", "healthcheck"]
ENTRYPOINT ["preference-service"]

FROM runtime AS recommendation-service
COPY --from=build /programs/recommendation-service /usr/local/bin/recommendation-service
ENV SERVER_PORT=8083
EXPOSE 8083
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["recommendation-service", "healthcheck"]
ENTRYPOINT ["recommendation-service"]

FROM runtime AS demo-tmdb
COPY --from=build /programs/demo-tmdb /usr/local/bin/demo-tmdb
ENV SERVER_PORT=8090
EXPOSE 8090
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["demo-tmdb", "healthcheck"]
ENTRYPOINT ["demo-tmdb"]
