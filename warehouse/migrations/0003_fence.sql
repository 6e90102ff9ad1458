-- The epochs of the loaders that have taken over. A statement of a loader before the
-- newest one writes nothing.
CREATE TABLE IF NOT EXISTS {meta}.fence
(
    epoch UInt64,
    at    DateTime DEFAULT now()
)
ENGINE = MergeTree ORDER BY epoch SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
