-- Which of these files have run, with the SHA-256 of their text: a file that was
-- changed after it ran is refused.
CREATE TABLE IF NOT EXISTS {meta}.migrations
(
    name    String,
    digest  String,
    applied DateTime DEFAULT now()
)
ENGINE = MergeTree ORDER BY name SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
