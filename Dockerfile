# lit_delays in a container. Nothing of it runs as root, and nothing outside its three volumes is written:
#     docker build --tag lit_delays .
#     docker build --tag lit_delays:cuda --build-arg DEVICE=cuda .
# BASE is any image with Python 3.11 or newer and `python3 -m venv`. The digest pins it; a newer one is shown by
# `docker buildx imagetools inspect python:3.11-slim-bookworm`. CUDA's libraries come with torch, the driver with the
# host: no CUDA base is needed.
ARG BASE=docker.io/library/python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${BASE} AS build
ARG DEVICE=cpu
ENV PATH=/opt/lit_delays/bin:${PATH} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt .
# a layer of its own, as it is nearly all of the image and seldom changes
RUN case "${DEVICE}" in \
        cpu) index=https://download.pytorch.org/whl/cpu ;; \
        cuda) index=https://pypi.org/simple ;; \
        *) echo "DEVICE must be cpu or cuda, got ${DEVICE}." >&2; exit 1 ;; \
    esac \
    && python3 -m venv /opt/lit_delays \
    && pip install --no-deps --index-url "${index}" --constraint constraints.txt torch \
    && pip install dumb-init==1.2.5.post1
COPY pyproject.toml README.md LICENSE ./
COPY lit_delays lit_delays
# loops compiled for the CPU, where it is the CPU that trains
RUN if [ "${DEVICE}" = cpu ]; then extras='[fast]'; fi \
    && pip install --constraint constraints.txt ".${extras:-}" \
    && pip check \
    && pip uninstall --yes pip

FROM ${BASE}
ARG DEVICE=cpu
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="lit_delays" \
    org.opencontainers.image.description="Spiking networks with learnable delays, trained with PyTorch Lightning" \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.authors="the lit_delays developers" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
# Triton compiles the launcher of its kernels where they run. The base is pinned, and Debian keeps no old versions.
# hadolint ignore=DL3008
RUN if [ "${DEVICE}" = cuda ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/lit_delays /opt/lit_delays
WORKDIR /workspace
COPY configs configs
COPY sweeps sweeps
# open like /tmp, so that `--user "$(id -u)"` may write too
RUN install -d -m 1777 data runs cache
VOLUME ["/workspace/data", "/workspace/runs", "/workspace/cache"]
ENV PATH=/opt/lit_delays/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    HOME=/workspace/cache \
    USER=lit_delays \
    XDG_CACHE_HOME=/workspace/cache \
    LIT_DELAYS_CACHE=/workspace/cache/lit_delays \
    MPLCONFIGDIR=/workspace/cache/matplotlib \
    TRITON_CACHE_DIR=/workspace/cache/triton \
    TORCHINDUCTOR_CACHE_DIR=/workspace/cache/inductor \
    WANDB_DIR=/workspace/cache \
    WANDB_CACHE_DIR=/workspace/cache/wandb \
    TMPDIR=/workspace/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
# Process 1 ignores signals that it does not handle: dumb-init hands them to the trainer from its first moment on
ENTRYPOINT ["dumb-init", "--single-child", "--", "python", "-m", "lit_delays"]
CMD ["--help"]
