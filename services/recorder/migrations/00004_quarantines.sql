-- +goose Up

-- What every artifact stands at that is in quarantine, or was: by its newest event.
-- Rows from before there was any are none.
create table quarantines (
    digest   text collate "C" primary key,
    held     boolean not null,
    changed  timestamptz not null,
    last_seq bigint not null,
    -- shipwarden.release.v1.Quarantine.
    state    bytea not null
);
create index quarantines_by_change on quarantines (last_seq desc);

grant select, insert, update on quarantines to shipwarden_writer;
grant select on quarantines to shipwarden_reader;

-- +goose Down
drop table quarantines;
