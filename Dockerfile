# A server of learned optimizers: docker build -t descent . && docker run -p 8080:8080 -v descent:/data descent
#
# Only Debian and this repository. What the first stage needs is in the Makefile; what the program needs to run, it is
# asked itself (make runtime-packages), so neither list is here a second time.

FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make
WORKDIR /src
COPY Makefile .
RUN make deps-build
COPY . .
RUN make install DESTDIR=/out PREFIX=/usr && make --silent runtime-packages > /out/packages

FROM debian:bookworm
COPY --from=build /out/packages /tmp/packages
RUN apt-get update && xargs apt-get install -y --no-install-recommends < /tmp/packages && \
    apt-get clean && rm -rf /var/lib/apt/lists/* /tmp/packages
COPY --from=build /out/usr/bin/descent /usr/bin/descent
RUN groupadd --gid 10001 descent && \
    useradd --uid 10001 --gid descent --no-create-home --home-dir /data --shell /usr/sbin/nologin descent && \
    install -d -o descent -g descent -m 700 /data && descent version

# Anywhere but on loopback every request needs a key. The first start makes one that may do everything and prints it
# once, to the log; or give one: DESCENT_API_KEY_FILE=/run/secrets/key. Further settings: docker run descent serve --help
ENV DESCENT_LISTEN=0.0.0.0:8080 DESCENT_DATA=/data
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["descent", "health"]
ENTRYPOINT ["descent"]
CMD ["serve"]
