-- +goose Up

-- Which release a release takes back, and how much is still to be done after it. Rows
-- from before know nothing of either: rebuilding the record brings it.
alter table releases
    add column rollback_of text collate "C" not null default '',
    add column open_follow_ups integer not null default 0;
create index releases_that_take_back on releases (rollback_of, requested, release) where rollback_of <> '';

-- +goose Down
drop index releases_that_take_back;
alter table releases drop column rollback_of, drop column open_follow_ups;
