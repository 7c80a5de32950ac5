-- +goose Up

-- Everything below is computed from the events and can be computed again; the
-- rebuild compares it row by row. Times are those of the events, never of now.

-- One row for every release, for lists and filters.
create table releases (
    release     text collate "C" primary key,
    service     text collate "C" not null,
    environment text collate "C" not null,
    version     text collate "C" not null,
    trigger     smallint not null,
    owner       text collate "C" not null,
    requester   text collate "C" not null,
    phase       text collate "C" not null,
    outcome     smallint not null,
    requested   timestamptz not null,
    updated     timestamptz not null,
    ended       timestamptz,
    closed      boolean not null,
    rejected    integer not null,
    last_seq    bigint not null,
    -- The release as clients see it: shipwarden.recorder.v1.Release.
    view        bytea not null
    -- A release changes with each of its events. No index is on what changes often,
    -- and every page has room, so that a change touches the one row and nothing else.
) with (fillfactor = 75);
create index releases_by_time on releases (requested desc, release desc);
create index releases_by_service on releases (service, requested desc, release desc);
create index releases_by_environment on releases (environment, requested desc, release desc);
create index releases_by_outcome on releases (outcome, requested desc, release desc);
create index releases_open on releases (requested desc, release desc) where not closed;

-- The targets that a release asks for.
create table release_targets (
    target  text collate "C" not null,
    release text collate "C" not null,
    primary key (target, release)
);

-- Everybody who had a part in a release, and which.
create table release_people (
    person  text collate "C" not null,
    release text collate "C" not null,
    part    text collate "C" not null,
    primary key (person, release, part)
);

-- The artifacts of a release.
create table release_artifacts (
    digest  text collate "C" not null,
    release text collate "C" not null,
    primary key (digest, release)
);

-- What every target carries now, and who holds it.
create table targets (
    target     text collate "C" primary key,
    release    text collate "C" not null,
    service    text collate "C" not null,
    version    text collate "C" not null,
    digest     text collate "C" not null,
    since      timestamptz,
    generation bigint not null,
    locked_by  text collate "C" not null,
    last_seq   bigint not null
);
create index targets_by_digest on targets (digest);

-- Requests that were refused: shipwarden.release.v1.RequestRefused.
create table refusals (
    seq     bigint primary key,
    stored  timestamptz not null,
    refused bytea not null
);

-- Which version a procedure document is, by its digest.
create table procedures (
    digest    text collate "C" primary key,
    version   text collate "C" not null,
    first_seq bigint not null
);

grant select, insert, update on releases, targets to shipwarden_writer;
grant select, insert on release_targets, release_people, release_artifacts, refusals, procedures to shipwarden_writer;
grant select on releases, release_targets, release_people, release_artifacts, targets, refusals, procedures to shipwarden_reader;

-- +goose Down
drop table procedures, refusals, targets, release_artifacts, release_people, release_targets, releases;
