-- Months of receipt whose facts are not kept any longer, with the days that their rows
-- tell of: by each field that dates a row in a KPI, "time" among them.
CREATE TABLE IF NOT EXISTS {meta}.retired
(
    table   String,
    month   UInt32, -- yyyymm of _cut
    dated   String,
    first   Date,
    last    Date,
    through UInt64, -- last message of its rows
    rows    UInt64,
    at      DateTime DEFAULT now()
)
ENGINE = MergeTree ORDER BY (table, month) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
