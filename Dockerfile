# Portolan as one static binary in an otherwise empty image, run by an unprivileged user.
#
#   docker build --tag portolan .
#
# The image has no PostgreSQL, so DATABASE_URL must name one; see compose.yaml. On a network of its
# own the server must listen there: PORTOLAN_LISTEN=0.0.0.0:8080.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
# The target is named so that the flags reach the program only, not the macros that build it.
# glibc's static name lookup reads /etc/hosts and asks DNS by itself, which is all Portolan needs.
RUN target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS="-C target-feature=+crt-static" SQLX_OFFLINE=true \
       cargo build --release --locked --bin portolan --target "$target" \
    && install -D "target/$target/release/portolan" /out/portolan \
    && mkdir -p /out/data

FROM scratch
COPY --from=build /out/portolan /portolan
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV PORTOLAN_DATA_DIR=/data
VOLUME /data
EXPOSE 8080 8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/portolan", "healthcheck"]
ENTRYPOINT ["/portolan"]
CMD ["serve"]
