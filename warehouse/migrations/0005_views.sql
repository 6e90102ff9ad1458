-- The analysts' database, and which of its objects were made from which definition.
-- What a definition did not change stays as it is at a start.
CREATE DATABASE IF NOT EXISTS {ombor} COMMENT 'For analysts: a view for each contract, dimensions through time, calendar, published figures';
CREATE TABLE IF NOT EXISTS {meta}.views
(
    name   String,
    digest String,
    made   DateTime64(3) DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (name, made) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
