-- Turns refresh_tokens into a table that is partitioned by the day on which its rows expire.
-- An experiment: docs/scale.md says what came of it. Steps are run one after the other.

-- step: an index that can become the key, while the service reads and writes
CREATE UNIQUE INDEX CONCURRENTLY uq_refresh_tokens_partition
    ON refresh_tokens (token_hash, expires_at);

-- step: a bound that rows have which are written until the switch; checked without a long lock
DO $$ BEGIN
    EXECUTE format(
        'ALTER TABLE refresh_tokens ADD CONSTRAINT ck_refresh_tokens_before'
        ' CHECK (expires_at IS NOT NULL AND expires_at < %L) NOT VALID',
        date_trunc('day', now()) + interval '16 days');
END $$;

-- step
ALTER TABLE refresh_tokens VALIDATE CONSTRAINT ck_refresh_tokens_before;

-- step: the switch, which locks the table; nothing is read or moved
BEGIN;
SET LOCAL lock_timeout = '5s';
ALTER TABLE refresh_tokens DROP CONSTRAINT pk_refresh_tokens;
ALTER TABLE refresh_tokens RENAME TO refresh_tokens_before;
ALTER TABLE refresh_tokens_before
    ADD CONSTRAINT pk_refresh_tokens_before PRIMARY KEY USING INDEX uq_refresh_tokens_partition;
ALTER INDEX ix_refresh_tokens_family_id RENAME TO ix_refresh_tokens_before_family_id;
ALTER INDEX ix_refresh_tokens_expires_at RENAME TO ix_refresh_tokens_before_expires_at;
CREATE TABLE refresh_tokens (
    LIKE refresh_tokens_before,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (token_hash, expires_at),
    CONSTRAINT fk_refresh_tokens_family_id FOREIGN KEY (family_id)
        REFERENCES token_families (id) ON DELETE CASCADE
) PARTITION BY RANGE (expires_at);
CREATE INDEX ix_refresh_tokens_family_id ON refresh_tokens (family_id);
CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at);
DO $$ DECLARE first timestamptz := date_trunc('day', now()) + interval '16 days'; BEGIN
    EXECUTE format(
        'ALTER TABLE refresh_tokens ATTACH PARTITION refresh_tokens_before'
        ' FOR VALUES FROM (MINVALUE) TO (%L)', first);
    FOR number IN 0..14 LOOP
        EXECUTE format(
            'CREATE TABLE refresh_tokens_%s PARTITION OF refresh_tokens'
            ' FOR VALUES FROM (%L) TO (%L)',
            number, first + number * interval '1 day', first + (number + 1) * interval '1 day');
    END LOOP;
END $$;
ALTER TABLE refresh_tokens_before DROP CONSTRAINT ck_refresh_tokens_before;
COMMIT;
