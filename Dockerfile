# jaxcolor serve in a container: not root, nothing written but the cache, asked whether it is well.
#
#   docker build -t jaxcolor .
#   docker build -t jaxcolor:cuda --build-arg EXTRAS=web,cuda .
#
# docs/serving.md says how to run it, compose.yaml puts nginx before it.

ARG PYTHON=python:3.13-slim
# web: the server; web,cuda: with a GPU; web,heif: for iPhones' photos, too; hub: for hf:// weights.
ARG EXTRAS=web

FROM ${PYTHON} AS build
ARG EXTRAS
WORKDIR /src
RUN python -m venv /opt/jaxcolor
ENV PATH=/opt/jaxcolor/bin:$PATH
COPY pyproject.toml README.md LICENSE ./
COPY jaxcolor jaxcolor
# It is this package that is installed.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --disable-pip-version-check ".[${EXTRAS}]"

FROM ${PYTHON}
RUN useradd --system --uid 10001 --no-create-home jaxcolor \
    && install --directory --owner=jaxcolor /cache
COPY --from=build /opt/jaxcolor /opt/jaxcolor
ENV PATH=/opt/jaxcolor/bin:$PATH \
    JAXCOLOR_CACHE=/cache \
    HF_HOME=/cache/huggingface \
    PYTHONDONTWRITEBYTECODE=1
VOLUME /cache
USER 10001
EXPOSE 8000
# 503 while it loads, compiles or stops.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz')"]
# Whoever reaches the container is answered: publish the port to a proxy, or to 127.0.0.1.
ENTRYPOINT ["jaxcolor"]
CMD ["serve", "--host", "0.0.0.0"]
