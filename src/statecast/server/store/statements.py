"""The tables of a store in PostgreSQL, and the statement that a commit is.

A commit is one statement, so that it is one transaction which waits for nobody between two of its parts, and can be
sent again as a whole: what is there already by its key stays as it is.
"""

from __future__ import annotations

# Bytes that are packed already are not worth the database's own compression.
TABLES = """
CREATE TABLE IF NOT EXISTS meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS servers (server bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, address text NOT NULL,
    ttl float8 NOT NULL, renewed timestamptz NOT NULL) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS shards (shard int PRIMARY KEY, epoch bigint NOT NULL, server bigint,
    cut bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS series (shard int NOT NULL, number int NOT NULL, id text NOT NULL,
    removed bool NOT NULL, PRIMARY KEY (shard, number));
CREATE TABLE IF NOT EXISTS log (shard int NOT NULL, last bigint NOT NULL, first bigint NOT NULL, epoch bigint NOT NULL,
    received float8 NOT NULL, checksum bigint NOT NULL, rows bytea NOT NULL, PRIMARY KEY (shard, last));
CREATE TABLE IF NOT EXISTS blocks (shard int NOT NULL, number int NOT NULL, seq bigint NOT NULL,
    checksum bigint NOT NULL, content bytea NOT NULL, model int NOT NULL, PRIMARY KEY (shard, model, number));
CREATE TABLE IF NOT EXISTS models (number int PRIMARY KEY, fingerprint text NOT NULL, content bytea NOT NULL);
CREATE TABLE IF NOT EXISTS pieces (shard int NOT NULL, block int NOT NULL, last bigint NOT NULL, first bigint NOT NULL,
    checksum bigint NOT NULL, content bytea NOT NULL, PRIMARY KEY (block, first));
CREATE TABLE IF NOT EXISTS keys (key text PRIMARY KEY, seq bigint NOT NULL, created float8 NOT NULL,
    digest bytea NOT NULL, answer bytea NOT NULL);
CREATE TABLE IF NOT EXISTS alarms (shard int NOT NULL, seq bigint NOT NULL, number int NOT NULL, kind int NOT NULL,
    "time" bigint NOT NULL, score float8 NOT NULL, since bigint NOT NULL, received float8 NOT NULL,
    value bytea NOT NULL, PRIMARY KEY (shard, seq, number, kind));
CREATE INDEX IF NOT EXISTS alarms_of_series ON alarms (number, seq);
CREATE INDEX IF NOT EXISTS pieces_by_age ON pieces (shard, last);
CREATE INDEX IF NOT EXISTS keys_by_age ON keys (created);
ALTER TABLE log ALTER COLUMN rows SET STORAGE EXTERNAL;
ALTER TABLE blocks ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE pieces ALTER COLUMN content SET STORAGE EXTERNAL;
"""

# Those of a transaction's shards that this server still holds. What follows writes where they are all of them.
HELD = """
WITH held AS MATERIALIZED (
    SELECT shard FROM shards JOIN unnest(%(shards)b::int[], %(epochs)b::bigint[]) AS known (shard, epoch)
    USING (shard, epoch) ORDER BY shard FOR SHARE OF shards
), fence AS MATERIALIZED (SELECT count(*) = cardinality(%(shards)b::int[]) AS open FROM held)"""
ENTRIES = """, entries AS (
    SELECT * FROM unnest(%(log_shards)b::int[], %(log_lasts)b::bigint[], %(log_firsts)b::bigint[],
        %(log_epochs)b::bigint[], %(log_checksums)b::bigint[], %(log_rows)b::bytea[])
    AS entry (shard, last, first, epoch, checksum, rows)
), appended AS (
    INSERT INTO log (shard, last, first, epoch, received, checksum, rows)
    SELECT shard, last, first, epoch, %(now)b, checksum, rows FROM entries, fence WHERE open
    ON CONFLICT DO NOTHING RETURNING shard, last
)"""
APPENDED = " UNION ALL SELECT shard, last FROM appended"
NAMES = """, names AS (
    SELECT * FROM unnest(%(name_shards)b::int[], %(name_numbers)b::int[], %(names)b::text[], %(removed)b::bool[])
    AS name (shard, number, id, removed) CROSS JOIN fence WHERE open
), named AS (
    INSERT INTO series SELECT shard, number, id, removed FROM names WHERE id IS NOT NULL
    ON CONFLICT (shard, number) DO UPDATE SET id = excluded.id, removed = excluded.removed
), removed AS (
    UPDATE series SET removed = true FROM names
    WHERE names.id IS NULL AND series.shard = names.shard AND series.number = names.number)"""
KEYS = """, remembered AS (
    INSERT INTO keys SELECT key.* FROM unnest(%(keys)b::text[], %(key_seqs)b::bigint[],
        %(key_created)b::float8[], %(key_digests)b::bytea[], %(key_answers)b::bytea[])
    AS key (key, seq, created, digest, answer) CROSS JOIN fence WHERE open
    ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, created = excluded.created, digest = excluded.digest,
        answer = excluded.answer)"""
BLOCKS = """, states AS (
    INSERT INTO blocks SELECT block.shard, block.number, seq, checksum, content, model
    FROM unnest(%(block_shards)b::int[], %(block_numbers)b::int[],
        %(block_seqs)b::bigint[], %(block_checksums)b::bigint[], %(block_contents)b::bytea[], %(block_models)b::int[])
    AS block (shard, number, seq, checksum, content, model) CROSS JOIN fence WHERE open
    ON CONFLICT (shard, model, number) DO UPDATE
    SET seq = excluded.seq, checksum = excluded.checksum, content = excluded.content)"""
PIECES = """, history AS (
    INSERT INTO pieces SELECT piece.* FROM unnest(%(piece_shards)b::int[], %(piece_blocks)b::int[],
        %(piece_lasts)b::bigint[], %(piece_firsts)b::bigint[], %(piece_checksums)b::bigint[],
        %(piece_contents)b::bytea[]) AS piece (shard, block, last, first, checksum, content) CROSS JOIN fence WHERE open
    ON CONFLICT (block, first) DO UPDATE
    SET last = excluded.last, checksum = excluded.checksum, content = excluded.content)"""
ALARMS = """, alarmed AS (
    INSERT INTO alarms SELECT alarm.* FROM unnest(%(alarm_shards)b::int[], %(alarm_seqs)b::bigint[],
        %(alarm_numbers)b::int[], %(alarm_kinds)b::int[], %(alarm_times)b::bigint[], %(alarm_scores)b::float8[],
        %(alarm_since)b::bigint[], %(alarm_received)b::float8[], %(alarm_values)b::bytea[])
    AS alarm (shard, seq, number, kind, "time", score, since, received, value) CROSS JOIN fence WHERE open
    ON CONFLICT DO NOTHING)"""
CUT = """, cuts AS (
    SELECT * FROM unnest(%(cut_shards)b::int[], %(cuts)b::bigint[]) AS cut (shard, seq) CROSS JOIN fence WHERE open
), emptied AS (
    DELETE FROM log USING cuts WHERE log.shard = cuts.shard AND last <= seq
), forgotten_alarms AS (
    DELETE FROM alarms USING cuts WHERE alarms.shard = cuts.shard AND alarms.seq < (
        SELECT kept.seq FROM alarms AS kept WHERE kept.shard = cuts.shard
        ORDER BY kept.seq DESC LIMIT 1 OFFSET %(kept_alarms)b::int - 1)
), noted AS (
    UPDATE shards SET cut = seq FROM cuts WHERE shards.shard = cuts.shard)"""
TRIM = """, trimmed AS (
    DELETE FROM pieces USING unnest(%(trim_shards)b::int[], %(trims)b::bigint[]) AS trim (shard, seq) CROSS JOIN fence
    WHERE open AND pieces.shard = trim.shard AND pieces.last <= trim.seq)"""
MODELS = """, kept_models AS (
    INSERT INTO models SELECT model.* FROM unnest(%(models)b::int[], %(fingerprints)b::text[],
        %(model_contents)b::bytea[]) AS model (number, fingerprint, content) CROSS JOIN fence WHERE open
    ON CONFLICT DO NOTHING)"""
RETIRED = """, retired AS (DELETE FROM blocks USING fence WHERE open AND model = ANY(%(retired)b::int[]))"""
NOTES = """, written AS (
    INSERT INTO meta SELECT note.* FROM unnest(%(note_names)b::text[], %(notes)b::text[]) AS note (name, value)
    CROSS JOIN fence WHERE open ON CONFLICT (name) DO UPDATE SET value = excluded.value)"""
FORGET = """, forgotten AS (DELETE FROM keys WHERE created < %(forget)b)"""
COMMIT = " SELECT shard, NULL::bigint AS last FROM held"
# What an earlier attempt at the same commit wrote.
EARLIER = """
SELECT shard, last FROM log JOIN unnest(%(log_shards)b::int[], %(log_lasts)b::bigint[], %(log_firsts)b::bigint[],
    %(log_epochs)b::bigint[], %(log_checksums)b::bigint[]) AS entry (shard, last, first, epoch, checksum)
USING (shard, last, first, epoch, checksum)"""
CREATE = """
WITH new AS (
    INSERT INTO meta SELECT * FROM unnest(%(names)b::text[], %(values)b::text[]) WHERE NOT EXISTS (SELECT FROM meta)
    ON CONFLICT DO NOTHING RETURNING 1)
INSERT INTO shards SELECT shard, 0 FROM generate_series(0, %(shards)b - 1) AS shard WHERE EXISTS (SELECT FROM new)"""
SELECT_BLOCKS = """
SELECT number, seq, checksum, content FROM blocks
WHERE shard = %b AND model = %b AND number > %b ORDER BY number LIMIT %b"""
SELECT_ALARMS = """
SELECT seq, number, kind, "time", score, since, received, value FROM alarms
WHERE seq > %b AND (%b OR number = %b) AND shard = ANY(%b) ORDER BY seq DESC LIMIT %b"""
SELECT_PIECES = """
SELECT first, last, checksum, content FROM pieces WHERE block = %b AND first < %b ORDER BY first DESC LIMIT 8"""
