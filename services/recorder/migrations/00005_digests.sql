-- +goose Up

-- The mails by which people are told what is on record in their name. They are not computed
-- from the events: rebuilding the record takes both tables over as they are. Rows are added
-- and never changed, so that what was told to whom is on record, too.

-- Each day that was looked at after it was over, and the messages that it stands for: those
-- behind after_seq up to through_seq. Of two days in a row one ends where the other begins,
-- so that no message is in none of them, and none in two.
create table digest_days (
    -- As a clock in the configured zone shows it.
    day         date primary key,
    after_seq   bigint not null check (after_seq >= 0),
    through_seq bigint not null check (through_seq >= after_seq),
    -- 'told'; 'beginning' is the day before the first one that is; 'skipped' was too long ago.
    kind        text collate "C" not null check (kind in ('beginning', 'told', 'skipped')),
    noted       timestamptz not null default clock_timestamp()
);

-- What became of the mail of one person and day.
create table digests (
    day     date not null references digest_days,
    person  text collate "C" not null,
    attempt integer not null check (attempt >= 0),
    -- 'due' with attempt 0. 'begun' stands before the relay gets a byte of it, 'refused' says
    -- that it did not take that one. The others are the end: 'sent', nobody has an address
    -- ('unreachable'), nobody knows ('unknown'), or it was tried too long ('given_up').
    state   text collate "C" not null check (state in ('due', 'begun', 'refused', 'sent', 'unreachable', 'unknown', 'given_up')),
    noted   timestamptz not null default clock_timestamp(),
    primary key (day, person, attempt, state)
);
create unique index digests_that_ended on digests (day, person) where state in ('sent', 'unreachable', 'unknown', 'given_up');

create trigger append_only before update or delete or truncate on digest_days
    for each statement execute function refuse_change();
alter table digest_days enable always trigger append_only;
create trigger append_only before update or delete or truncate on digests
    for each statement execute function refuse_change();
alter table digests enable always trigger append_only;

grant select, insert on digest_days, digests to shipwarden_writer;
grant select on digest_days, digests to shipwarden_reader;

-- +goose Down
drop table digests, digest_days;
