-- +goose Up

-- A way back of a release is a change of its own, with a row among the releases that names
-- the release. Releases of before have no such rows: rebuilding the record brings them.
alter table releases
    add column way_back_of text collate "C" not null default '';
create index releases_that_are_ways_back on releases (way_back_of, release) where way_back_of <> '';

-- +goose Down
delete from releases where way_back_of <> '';
drop index releases_that_are_ways_back;
alter table releases drop column way_back_of;
