# syntax=docker/dockerfile:1
# Sightline's server; docs/docker.md says how to build and run it, and what it contains.
#
#   docker build -t sightline .
#   docker run --rm -p 8000:8000 sightline
ARG PYTHON=3.13
ARG CUDA=13.0.2-cudnn-runtime-ubuntu24.04
# cpu, or cuda for NVIDIA's GPUs
ARG DEVICE=cpu

FROM python:${PYTHON}-slim AS base-cpu

FROM nvidia/cuda:${CUDA} AS base-cuda
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

# The wheel with the web pages in it. Node is there only while it is built, from a package of pip's.
FROM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# Empty, unless --build-context weights=FOLDER gives weights that the build is not to download.
FROM scratch AS weights

# The model that the image carries, or none where MODEL is empty. Making it takes torch, which
# stays behind in this stage.
FROM python:${PYTHON}-slim AS model
ARG MODEL=deimv2-atto
ARG PIP_EXTRA_INDEX_URL
ENV SIGHTLINE_CACHE=/cache SIGHTLINE_MODELS=/weights
COPY requirements/lock.txt /lock.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    test -z "$MODEL" || pip install --no-cache-dir --constraint /lock.txt \
        "sightline[train] @ file://$(echo /wheels/sightline-*.whl)"
RUN --mount=type=bind,from=weights,target=/weights \
    mkdir /model && { test -z "$MODEL" || { \
        sightline models pull "$MODEL" \
        && cp -L "$(sightline models pull "$MODEL")"/m* /model; }; }

# What serving needs. Left out: OpenCV, which only `sightline predict` uses, for video files and
# cameras; the page in which exports are proven; tests and tools of NumPy and ONNX Runtime; and
# ONNX Runtime's library for C programs, of which Python's has a copy of its own.
# hadolint ignore=DL3006
FROM base-${DEVICE} AS install
ARG DEVICE
ARG EXTRAS=webrtc
COPY requirements/lock.txt /lock.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    python3 -m venv /opt/sightline \
    && /opt/sightline/bin/pip install --no-cache-dir --constraint /lock.txt \
        "sightline[$EXTRAS] @ file://$(echo /wheels/sightline-*.whl)" \
    && if test "$DEVICE" = cuda; then \
        /opt/sightline/bin/pip uninstall --yes onnxruntime \
        && /opt/sightline/bin/pip install --no-cache-dir --no-deps \
            "onnxruntime-gpu==$(sed -n 's/^onnxruntime==//p' /lock.txt)"; \
    else \
        find /opt/sightline -name "libonnxruntime.so.*" -delete; \
    fi \
    && /opt/sightline/bin/pip uninstall --yes opencv-python-headless pip \
    && find /opt/sightline -type d \( -name tests -o -path "*/static/prove" -o -path "*/numpy/f2py" \
        -o -path "*/onnxruntime/datasets" -o -path "*/onnxruntime/quantization" \
        -o -path "*/onnxruntime/tools" -o -path "*/onnxruntime/transformers" \) \
        -prune -exec rm -r {} +

# hadolint ignore=DL3006
FROM base-${DEVICE}
COPY --from=install /opt/sightline /opt/sightline
COPY --from=model /model /model
ENV PATH=/opt/sightline/bin:$PATH SIGHTLINE_CACHE=/tmp/sightline
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", \
    "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=3); \
     c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["sightline", "serve", "--host", "0.0.0.0"]
CMD ["/model"]
