# curvd as an image.
#
#   docker compose -f src/deploy/compose.yaml up --build
#
# runs it as it is meant to be run; with an NVIDIA GPU add -f src/deploy/compose.nvidia.yaml, with
# one of AMD or Intel -f src/deploy/compose.dri.yaml. Where there is no container engine,
# `deno task replay` does these very steps in a Debian tree and starts the service there.

FROM debian:trixie-slim AS deno
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates python3-pip \
  && pip install --break-system-packages --no-cache-dir deno==2.9.6

FROM deno AS build
ENV DENO_DIR=/deno-dir
WORKDIR /app
# The dependencies are a layer of their own, which only the lock renews.
COPY deno.json ./
COPY src/deno.lock src/
RUN deno install --frozen
COPY . .
# The page's scripts, so that the server, which cannot write here, finds them made.
RUN deno task bundle

FROM debian:trixie-slim AS run
# OpenBLAS for the cpu engine; the Vulkan loader and Mesa's drivers for AMD and Intel. NVIDIA's
# driver is lent by the host: its Vulkan part is libGLX_nvidia, which wants libXext.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libopenblas0-pthread libvulkan1 \
    mesa-vulkan-drivers libxext6 \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin curvd
COPY --from=deno /usr/local/bin/deno /usr/local/bin/deno
COPY --from=build /deno-dir /deno-dir
COPY --from=build /app /app
RUN mkdir /app/data && chown 10001:10001 /app/data
WORKDIR /app
ENV DENO_DIR=/deno-dir DENO_NO_UPDATE_CHECK=1 HOME=/tmp CURVD_HOST=0.0.0.0
# graphics brings Vulkan, without which an NVIDIA GPU is no WebGPU adapter
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics
USER 10001:10001
VOLUME /app/data
EXPOSE 5322
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD deno run --no-config --allow-net=127.0.0.1 src/deploy/check_health.ts "${CURVD_PORT:-5322}"
ENTRYPOINT ["deno", "task", "--quiet", "serve"]
