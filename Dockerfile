# One image for one service, or for the command:
#
#   docker build --build-arg SERVICE=executor --build-arg VERSION=v1.2.3 .
#   docker build --target command --build-arg VERSION=v1.2.3 .
#
# The context is the root of the repository.
# A service is built without the workspace and from the folders that its go.mod
# replaces, so an image holds no line of another service.
ARG GO_VERSION=1.26.8

FROM golang:${GO_VERSION} AS modules
ENV GOWORK=off CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
WORKDIR /src
COPY proto/go.mod proto/go.sum proto/
COPY procedure/go.mod procedure/go.sum procedure/
COPY internal/go.mod internal/go.sum internal/

FROM modules AS build-service
ARG SERVICE
# Fails at once, and not after the download, where the argument is missing or wrong.
RUN case "$SERVICE" in approval|validator|executor|recorder) ;; *) echo "SERVICE: one of approval, validator, executor, recorder" >&2; exit 1 ;; esac
COPY services/${SERVICE}/go.mod services/${SERVICE}/go.sum services/${SERVICE}/
RUN go -C services/${SERVICE} mod download
COPY proto proto
COPY procedure procedure
COPY internal internal
COPY services/${SERVICE} services/${SERVICE}
ARG VERSION=
RUN go -C services/${SERVICE} build -trimpath \
      -ldflags "-s -w -X github.com/blackdice/shipwarden/internal/service.version=${VERSION}" \
      -o /out/shipwarden-${SERVICE} ./cmd/shipwarden-${SERVICE} \
    && ln -s shipwarden-${SERVICE} /out/service

# The command belongs to the roof and knows all services, for `shipwarden dev`.
FROM modules AS build-command
COPY services/approval/go.mod services/approval/go.sum services/approval/
COPY services/validator/go.mod services/validator/go.sum services/validator/
COPY services/executor/go.mod services/executor/go.sum services/executor/
COPY services/recorder/go.mod services/recorder/go.sum services/recorder/
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN go build -trimpath \
      -ldflags "-s -w -X github.com/blackdice/shipwarden/internal/service.version=${VERSION}" \
      -o /out/shipwarden ./cmd/shipwarden

# Neither a shell nor a package manager, the user 65532, and the certificates of the
# public authorities.
FROM gcr.io/distroless/static-debian12:nonroot AS base
USER 65532:65532
WORKDIR /

FROM base AS command
COPY --from=build-command /out/shipwarden /usr/local/bin/shipwarden
ENTRYPOINT ["/usr/local/bin/shipwarden"]

# The last stage is what `docker build` makes without a target.
FROM base AS service
# Under its own name, shipwarden-<service>, and under one that is the same in all.
COPY --from=build-service /out/ /usr/local/bin/
EXPOSE 8080 9443
ENTRYPOINT ["/usr/local/bin/service"]
