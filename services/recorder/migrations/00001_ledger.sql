-- +goose Up

-- What was on the bus, message by message, in the order of the stream. The
-- record is of what was there: a message that does not count is kept as well,
-- and says why it does not.
create table events (
    seq          bigint primary key check (seq > 0),
    aggregate    text collate "C" not null,
    subject      text collate "C" not null,
    event_id     text collate "C" not null,
    type         text collate "C" not null,
    -- When the server stored it: for people and queries, and exactly.
    stored       timestamptz not null,
    stored_nanos bigint not null,
    headers      bytea not null,
    body         bytea not null,
    -- SHA-256 of the body.
    sha256       bytea not null check (octet_length(sha256) = 32),
    signed_by    text collate "C" not null,
    -- Why it does not count; null where it does.
    rejected     text
);
create index events_of_an_aggregate on events (aggregate, seq);
create index events_that_do_not_count on events (seq) where rejected is not null;

-- +goose StatementBegin
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of %: the trail is append-only', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd

create trigger append_only before update or delete or truncate on events
    for each statement execute function refuse_change();
-- Also where a superuser sets session_replication_role.
alter table events enable always trigger append_only;

-- How far the record has come. One row: the epoch of the stream's life, and the
-- last message with the digest by which it is recognized.
create table checkpoint (
    only_row    boolean primary key default true check (only_row),
    epoch       text collate "C" not null,
    last_seq    bigint not null check (last_seq >= 0),
    last_sha256 bytea not null
);
insert into checkpoint (epoch, last_seq, last_sha256) values ('', 0, '');

grant select, insert on events to shipwarden_writer;
grant select, update on checkpoint to shipwarden_writer;
grant select on events, checkpoint to shipwarden_reader;

-- +goose Down
drop table checkpoint, events;
drop function refuse_change;
