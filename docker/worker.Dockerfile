# The worker in a simulator's own image, which it runs with the sandbox `local`; after docker/Dockerfile:
#   docker build -f docker/worker.Dockerfile --build-arg SIMULATOR=us-docker.pkg.dev/my-project/fleet/pyatmos -t pyatmos_worker .
ARG FLEET=atmos-fleet
ARG SIMULATOR=us-docker.pkg.dev/my-project/fleet/pyatmos

FROM ${FLEET} AS fleet
USER root
# Node with the libraries that it wants, and their loader: simulators' images may have older ones, or none.
RUN mkdir -p /opt/atmos-fleet/lib /opt/atmos-fleet/bin \
  && cp -L $(ldd /usr/local/bin/node | grep -o '/[^ ]*') /lib/*-linux-gnu/libresolv.so.2 /opt/atmos-fleet/lib \
  && mv /opt/atmos-fleet/lib/ld-linux* /opt/atmos-fleet/lib/ld.so \
  && mv /usr/local/bin/node /opt/atmos-fleet/bin/node \
  && mv /app /opt/atmos-fleet/app

FROM ${SIMULATOR}
COPY --from=fleet /opt/atmos-fleet/ /opt/atmos-fleet/
ENV NODE_ENV=production \
  ATMOS_FLEET_CONFIG=/etc/atmos-fleet/atmos-fleet.yaml \
  ATMOS_FLEET_METRICS_PORT=0.0.0.0:9464
USER 1000:1000
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["/opt/atmos-fleet/lib/ld.so", "--library-path", "/opt/atmos-fleet/lib", "/opt/atmos-fleet/bin/node", "/opt/atmos-fleet/app/healthcheck.mjs"]
ENTRYPOINT ["/opt/atmos-fleet/lib/ld.so", "--library-path", "/opt/atmos-fleet/lib", "/opt/atmos-fleet/bin/node", "/opt/atmos-fleet/app/dist/bin/atmos-fleet.js"]
CMD ["worker", "--exit-when-done"]
