-- Months of receipt whose rows the lake does not keep any longer either, but only their figures:
-- a row with the id 0, and one for each table of figures that holds them, with its columns that
-- do. A table that was made anew has another id, and so holds nothing until it is told.
CREATE TABLE IF NOT EXISTS {meta}.kept
(
    table   String,
    month   UInt32, -- yyyymm of _cut
    holder  UUID,   -- of system.tables
    columns Array(String),
    at      DateTime DEFAULT now()
)
ENGINE = MergeTree ORDER BY (table, month) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
