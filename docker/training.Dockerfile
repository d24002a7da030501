# tfvision with CUDA, for training on NVIDIA GPUs. From the repository's root:
#   docker build -f docker/training.Dockerfile -t tfvision-training .
# That has Python 3.13 and TensorFlow 2.21. TensorFlow 2.15, Keras 2 and tensorflow-addons: --build-arg PYTHON=3.11
# CUDA and cuDNN come as Python packages, so the host needs only NVIDIA's driver and its container toolkit.
# Not from tensorflow/tensorflow:2.21.0-gpu: that has Python 3.11, and users report a cuDNN there that does not fit.
# Pin a digest by --build-arg PYTHON_3_13=python:3.13.14-slim-bookworm@sha256:..., the digest being what
# `docker buildx imagetools inspect python:3.13.14-slim-bookworm` prints; PYTHON_3_11 likewise.
ARG PYTHON=3.13
ARG PYTHON_3_11=python:3.11.14-slim-bookworm
ARG PYTHON_3_13=python:3.13.14-slim-bookworm

FROM ${PYTHON_3_11} AS python3.11
FROM ${PYTHON_3_13} AS python3.13

# The wheel: what is installed below is what users install. PYTHON names one of the two stages above.
# hadolint ignore=DL3006
FROM python${PYTHON} AS wheel
WORKDIR /src
COPY setup.cfg setup.py pyproject.toml MANIFEST.in README.md LICENSE NOTICE ./
COPY tfvision tfvision
COPY cli cli
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# hadolint ignore=DL3006
FROM python${PYTHON}
ARG PYTHON

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_CONSTRAINT=/src/constraints.txt \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    TF_FORCE_GPU_ALLOW_GROWTH=true

WORKDIR /src

# The packages that tfvision needs, in a layer that a change of its code leaves alone.
COPY setup.cfg setup.py pyproject.toml README.md LICENSE NOTICE ./
COPY tfvision/__init__.py tfvision/__init__.py
COPY cli/__init__.py cli/__init__.py
COPY constraints/python${PYTHON}.txt locked.txt
COPY docker/cuda/python${PYTHON}.txt cuda.txt
# The versions stand in constraints.txt (PIP_CONSTRAINT).
# hadolint ignore=DL3013
RUN cat locked.txt cuda.txt > constraints.txt && pip install '.[gpu]'

# TensorFlow finds most of CUDA's packages by itself; this shows the rest to the linker.
RUN python -c "import glob, sysconfig; print('\n'.join(sorted(glob.glob(sysconfig.get_path('purelib') + '/nvidia/*/lib'))))" \
      > /etc/ld.so.conf.d/nvidia.conf \
    && ldconfig

RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-deps --force-reinstall /wheels/*.whl \
    && groupadd --gid 10001 tfvision \
    && useradd --uid 10001 --gid tfvision --create-home --shell /usr/sbin/nologin tfvision

USER 10001:10001
WORKDIR /work

# A training is a job: it ends, and its exit code says how.
HEALTHCHECK NONE

ENTRYPOINT ["tfvision"]
CMD ["--help"]
