# The bot as an image: `docker build -t atelier .`; deploy/compose.yaml starts it. docs/INSTALL.md explains both.
# With `--build-arg EXTRAS=[engine]` it also has what several machines need (docs/SCALING.md).
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /source
COPY pyproject.toml hatch_build.py constraints-runtime.txt README.md LICENSE ./
COPY app app
COPY workflows workflows
ARG EXTRAS=
RUN uv venv /opt/atelier && uv pip install --python /opt/atelier --no-cache -c constraints-runtime.txt ".${EXTRAS}"

FROM python:${PYTHON}-slim
# A fixed number, so that the owner of the volume is the same in every version of the image.
RUN useradd --uid 10001 --no-create-home --home-dir /data atelier \
    && install -d -m 0700 -o atelier -g atelier /data && install -d /config /workflows
COPY --from=build /opt/atelier /opt/atelier
# The port is only for the health check: it is not reachable from outside of the container.
ENV PATH=/opt/atelier/bin:$PATH ATELIER_DATA=/data ATELIER_WORKFLOWS=/workflows ATELIER_HTTP=127.0.0.1:8899
USER atelier
# atelier.toml is read from here.
WORKDIR /config
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8899/healthz', timeout=4)"]
ENTRYPOINT ["atelier"]
CMD ["run"]
