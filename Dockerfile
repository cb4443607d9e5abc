# Two stages: the first compiles with the packages of deps/build.txt (pins included), the second has only
# the shared libraries of deps/runtime.txt and the program.
ARG BASE=debian:bookworm-slim
# Whoever has compiled already names an image that has the program at the same place.
ARG PROGRAM=build

FROM ${BASE} AS build
WORKDIR /src
COPY deps deps
COPY scripts scripts
RUN ./scripts/setup --build
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY net net
COPY identity identity
COPY opa-client opa-client
COPY proxy proxy
RUN cmake --preset release -DWARDER_TESTS=OFF -DWARDER_BENCH=OFF \
 && cmake --build build/release --target warder \
 && strip build/release/warder

FROM ${PROGRAM} AS program

FROM ${BASE}
COPY deps/runtime.txt /tmp/runtime.txt
RUN apt-get update \
 && sed 's/#.*//' /tmp/runtime.txt | xargs apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /tmp/runtime.txt
COPY --from=program /src/build/release/warder /usr/local/bin/warder
# For `warder policy check` and `build`.
COPY rego/egress /usr/local/share/warder/rego/egress
# Root, with the capabilities that compose.yaml leaves it: other users' /proc/<pid>/fd and exe are read.
ENTRYPOINT ["/usr/local/bin/warder"]
CMD ["run"]
