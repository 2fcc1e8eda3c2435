# syntax=docker/dockerfile:1
# One image for every process of docker-compose.yaml.
#
# python:slim and not apache/airflow: requirements.lock (made from requirements.txt by `make lock`) pins Airflow
# with everything below it, by hash. The Airflow image brings its own versions of the same packages, and pip would
# have to replace half of them under it.
FROM python:3.12-slim-bookworm AS build
# wordllama has no wheel for Linux on ARM and is compiled there.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY requirements.lock ./
RUN pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml requirements.txt README.md LICENSE ./
COPY include/switchover include/switchover
RUN pip install --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm
# The folders that a volume is mounted on belong to the user before the volume takes over their owner.
RUN useradd --uid 10001 --no-create-home --home-dir /opt/airflow --shell /usr/sbin/nologin airflow \
    && install --directory --owner=airflow --group=airflow /opt/airflow /opt/airflow/logs /opt/airflow/evidence
COPY --from=build /opt/venv /opt/venv
# Belongs to root: the processes read their code and cannot change it.
COPY dags /opt/switchover/dags
COPY plugins /opt/switchover/plugins
COPY include /opt/switchover/include
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/switchover/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/switchover/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
USER airflow
WORKDIR /opt/airflow
CMD ["airflow", "version"]
