# netrunner and its logging server in one small image:
#
#   docker build --tag netrunner .
#   docker run --publish 127.0.0.1:8080:8080 --volume netrunner:/data \
#       --env AUTH_TOKEN --env ADMIN_USER --env ADMIN_PASSWORD --env OPENAI_API_KEY netrunner
#
# conf/docker/netrunner.yaml is its configuration; mount another one over /etc/netrunner/netrunner.yaml. The logging server is
# `docker run ... netrunner netrunner-logserver --directory /data/logs --listen tcp:8081`, the command line
# `docker run ... --entrypoint netrunner netrunner --help`, with the benchmark that is `netrunner bench`.
#
# All of it can be tested where it is built, but for what starts processes that are not in the image:
#
#   docker build --target test --tag netrunner:test .
#   docker run --rm netrunner:test

FROM python:3.13-slim AS build
WORKDIR /src
# Nothing is installed that is not pinned with its hash; `make lock` makes the two files.
COPY requirements requirements
RUN python -m venv /opt/netrunner \
    && /opt/netrunner/bin/pip install --no-cache-dir --require-hashes --requirement requirements/deploy.txt \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement requirements/build.txt
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY netrunner netrunner
COPY twisted twisted
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/netrunner/bin/pip install --no-cache-dir --no-index --no-deps /dist/*.whl \
    && /opt/netrunner/bin/pip uninstall --yes pip

FROM build AS test
RUN /opt/build/bin/pip install --no-cache-dir --editable ".[test]" \
    && useradd --system --uid 10002 --shell /usr/sbin/nologin tester \
    && chown tester .
COPY --chown=tester . .
ENV PYTHONDONTWRITEBYTECODE=1
USER 10002
ENTRYPOINT ["/opt/build/bin/pytest", "-p", "no:cacheprovider"]
CMD ["-m", "not integration and not torture and not fuzz and not soak"]

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin netrunner \
    && install --directory --owner netrunner --group netrunner --mode 0700 /data
COPY --from=build /opt/netrunner /opt/netrunner
COPY conf /usr/share/netrunner/conf
COPY conf/docker/netrunner.yaml /etc/netrunner/netrunner.yaml
ENV PATH=/opt/netrunner/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STATE_DIRECTORY=/data/state \
    LOGS_DIRECTORY=/data/logs
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ping', timeout=2)"]
# A second one ends open streams at once; docker stop --time has to be longer than server.drain_s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["twistd", "--nodaemon", "--pidfile="]
CMD ["netrunner", "--config", "/etc/netrunner/netrunner.yaml"]
