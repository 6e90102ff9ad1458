-- The three databases. {facts}, {rollups} and {meta} stand for their names, which
-- an operator may prefix on a server that others share.
CREATE DATABASE IF NOT EXISTS {facts};
CREATE DATABASE IF NOT EXISTS {rollups};
CREATE DATABASE IF NOT EXISTS {meta};
