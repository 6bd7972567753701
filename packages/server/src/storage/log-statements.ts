/**
 * The event log in SQL that PostgreSQL, YugabyteDB and CockroachDB take. Each change is one statement: one round trip, one transaction,
 * and no lock that waits for this process. Payloads of a statement travel as one byte string, cut up by the server, because arrays of
 * byte strings would be sent as text of twice the size.
 */

/** Channel on which openers tell each other of appends, where the database has LISTEN. */
export const CHANNEL = "guildhall_log";

/** Origin, tenant, session and last sequence, a line each, as LogConnection reads them. */
const NOTICE = `pg_notify('${CHANNEL}', $1::text || chr(10) || tenant_id || chr(10) || session_id || chr(10) || last_seq::text)`;

const CUT = "substring($2::bytea from e.start for e.length)";

/** `turn`: 0 leaves the turn as it is, 1 opens it, 2 closes it with reason and summary, which are null after a rewind. */
const TURN = `
      turn_open = CASE w.turn WHEN 0 THEN s.turn_open WHEN 1 THEN true ELSE false END,
      turn_end_reason = CASE w.turn WHEN 0 THEN s.turn_end_reason WHEN 2 THEN w.reason ELSE NULL END,
      turn_end_summary = CASE w.turn WHEN 0 THEN s.turn_end_summary WHEN 2 THEN w.summary ELSE NULL END`;

/**
 * The end of a turn is the end of the task that runs it: done (1) is success, an interrupt (4) cancels, a pause, a question and an approval (5,
 * 7, 8) wait for a person, the rest is failure. A task that delivers its result runs on until that is done.
 */
const ENDED_TASKS = `, ended AS (
    UPDATE guildhall.task AS t SET
      state = CASE m.reason WHEN 1 THEN CASE WHEN t.delivers THEN 3 ELSE 5 END WHEN 4 THEN 8 WHEN 5 THEN 4 WHEN 7 THEN 4 WHEN 8 THEN 4 ELSE 6 END, reason = m.summary,
      ended_at = CASE WHEN m.reason IN (5, 7, 8) OR (m.reason = 1 AND t.delivers) THEN NULL ELSE now() END
    FROM moved m
    WHERE t.tenant_id = m.tenant_id AND t.session_id = m.session_id AND m.turn = 2 AND m.reason IS NOT NULL AND t.state = 3
  )`;

/**
 * Appends of several sessions under their leases; answers with the `op` of those that held. Parameters: $1 origin, $2 payloads, then
 * arrays: $3–$11 one entry an append (op, tenant, session, expected, epoch, count, turn, reason, summary), $12–$15 one an event
 * (op, nth from 1, start from 1, length), and with keys $16–$18 one a key (op, nth, key). A session may occur once.
 */
export function appendStatement(options: { notify: boolean; keys: boolean; ends: boolean }): string {
  const keyed = `, keyed AS (
    INSERT INTO guildhall.session_input (tenant_id, session_id, input_key, seq)
    SELECT m.tenant_id, m.session_id, k.input_key, m.expected_seq + k.nth
    FROM unnest($16::int[], $17::int[], $18::text[]) AS k(op, nth, input_key) JOIN moved m ON m.op = k.op
    ON CONFLICT DO NOTHING
  )`;
  return `
  WITH moved AS (
    UPDATE guildhall.session AS s SET last_seq = s.last_seq + w.count, updated_at = now(),${TURN}
    FROM unnest($3::int[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[], $11::text[])
      AS w(op, tenant_id, session_id, expected_seq, epoch, count, turn, reason, summary)
    WHERE s.tenant_id = w.tenant_id AND s.session_id = w.session_id
      AND s.last_seq = w.expected_seq AND s.epoch = w.epoch AND s.lease_expires_at > now()
    RETURNING w.op, s.tenant_id, s.session_id, w.expected_seq, s.last_seq, w.turn, w.reason, w.summary
  ), stored AS (
    INSERT INTO guildhall.event (tenant_id, session_id, seq, payload)
    SELECT m.tenant_id, m.session_id, m.expected_seq + e.nth, ${CUT}
    FROM unnest($12::int[], $13::int[], $14::int[], $15::int[]) AS e(op, nth, start, length) JOIN moved m ON m.op = e.op
  )${options.keys ? keyed : ""}${options.ends ? ENDED_TASKS : ""}
  SELECT op${options.notify ? `, ${NOTICE}` : ", $1::text"} FROM moved`;
}

/**
 * Inputs of one session, whatever its sequence. Parameters: $1 origin, $2 payloads, $3 tenant, $4 session, $5 count, $6 turn, $7 reason,
 * $8 summary, arrays $9–$11 (nth, start, length), $12–$13 (nth, key). Fails with 23505 when one of the keys is there already.
 */
export function inputStatement(options: { notify: boolean }): string {
  return `
  WITH moved AS (
    UPDATE guildhall.session AS s SET last_seq = s.last_seq + $5::int, updated_at = now(),${TURN}
    FROM (SELECT $6::int AS turn, $7::int AS reason, $8::text AS summary) AS w
    WHERE s.tenant_id = $3::text AND s.session_id = $4::text
    RETURNING s.tenant_id, s.session_id, s.last_seq
  ), stored AS (
    INSERT INTO guildhall.event (tenant_id, session_id, seq, payload)
    SELECT m.tenant_id, m.session_id, m.last_seq - $5::int + e.nth, ${CUT}
    FROM unnest($9::int[], $10::int[], $11::int[]) AS e(nth, start, length) CROSS JOIN moved m
  ), keyed AS (
    INSERT INTO guildhall.session_input (tenant_id, session_id, input_key, seq)
    SELECT m.tenant_id, m.session_id, k.input_key, m.last_seq - $5::int + k.nth
    FROM unnest($12::int[], $13::text[]) AS k(nth, input_key) CROSS JOIN moved m
  )
  SELECT last_seq${options.notify ? `, ${NOTICE}` : ", $1::text"} FROM moved`;
}

/** Columns of a session's row, as `SessionRow`. */
const SESSION_COLUMNS = `tenant_id, session_id, title, workspace, parent_id, created_at, updated_at, last_seq, epoch, turn_open,
  turn_end_reason, turn_end_summary,
  CASE WHEN lease_expires_at > now() THEN lease_owner END AS lease_owner,
  lease_expires_at`;

/**
 * A session with its first events; answers with nothing when its id or request id is taken. Parameters: $1 payloads, $2–$7 tenant,
 * session, title, workspace, parent, request id, $8 count, $9 turn open, $10 reason, $11 summary, arrays $12–$14 (nth, start, length),
 * $15–$16 (nth, key).
 */
export const CREATE_SESSION = `
  WITH made AS (
    INSERT INTO guildhall.session (tenant_id, session_id, title, workspace, parent_id, request_id, created_at, updated_at, last_seq, epoch,
      turn_open, turn_end_reason, turn_end_summary)
    SELECT $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, t.now, t.now, $8::int, 0, $9::boolean, $10::int, $11::text
    FROM (SELECT clock_timestamp() AS now) AS t
    ON CONFLICT DO NOTHING
    RETURNING *
  ), stored AS (
    INSERT INTO guildhall.event (tenant_id, session_id, seq, payload)
    SELECT m.tenant_id, m.session_id, e.nth, substring($1::bytea from e.start for e.length)
    FROM unnest($12::int[], $13::int[], $14::int[]) AS e(nth, start, length) CROSS JOIN made m
  ), keyed AS (
    INSERT INTO guildhall.session_input (tenant_id, session_id, input_key, seq)
    SELECT m.tenant_id, m.session_id, k.input_key, k.nth
    FROM unnest($15::int[], $16::text[]) AS k(nth, input_key) CROSS JOIN made m
    ON CONFLICT DO NOTHING
  )
  SELECT ${SESSION_COLUMNS} FROM made`;

export const SESSION_BY_ID = `SELECT ${SESSION_COLUMNS} FROM guildhall.session WHERE tenant_id = $1 AND session_id = $2`;

export const SESSION_BY_REQUEST = `SELECT ${SESSION_COLUMNS} FROM guildhall.session WHERE tenant_id = $1 AND request_id = $2`;

/** $1 tenant, $2 workspace or null, $3 limit, $4 id of the last session of the page before, or null. */
export const LIST_SESSIONS = `
  SELECT ${SESSION_COLUMNS} FROM guildhall.session
  WHERE tenant_id = $1::text AND ($2::text IS NULL OR workspace = $2::text)
    AND ($4::text IS NULL OR (created_at, session_id) <
      (SELECT b.created_at, b.session_id FROM guildhall.session b WHERE b.tenant_id = $1::text AND b.session_id = $4::text))
  ORDER BY created_at DESC, session_id DESC LIMIT $3::int`;

export const READ_EVENTS = `
  SELECT seq, payload FROM guildhall.event
  WHERE tenant_id = $1 AND session_id = $2 AND seq >= $3 ORDER BY seq LIMIT $4`;

export const EVENTS_AT = `
  SELECT seq, payload FROM guildhall.event WHERE tenant_id = $1 AND session_id = $2 AND seq = ANY($3::int[])`;

export const INPUT_KEYS = `
  SELECT input_key, seq FROM guildhall.session_input WHERE tenant_id = $1 AND session_id = $2 AND input_key = ANY($3::text[])`;

/** $1 tenants, $2 sessions. */
export const STATE_OF = `
  SELECT s.tenant_id, s.session_id, s.last_seq, s.epoch, COALESCE(s.lease_expires_at > now(), false) AS leased
  FROM unnest($1::text[], $2::text[]) AS w(tenant_id, session_id)
  JOIN guildhall.session s ON s.tenant_id = w.tenant_id AND s.session_id = w.session_id`;

const UNTIL = "now() + $4::float8 * interval '1 millisecond'";

/** $1 tenant, $2 session, $3 owner, $4 milliseconds, $5 whether a running lease of another may be taken. */
export const ACQUIRE_LEASE = `
  UPDATE guildhall.session SET epoch = epoch + 1, lease_owner = $3::text, lease_expires_at = ${UNTIL}
  WHERE tenant_id = $1 AND session_id = $2
    AND ($5::boolean OR lease_owner IS NULL OR lease_owner = $3::text OR lease_expires_at <= now())
  RETURNING epoch, lease_expires_at`;

/**
 * One that runs for far longer than anybody asks for, because the database's clock was set back, is over in a minute: who lives renews it before
 * that. $1 tenant, $2 session.
 */
export const CUT_LEASE = `
  UPDATE guildhall.session SET lease_expires_at = now() + interval '1 minute'
  WHERE tenant_id = $1 AND session_id = $2 AND lease_expires_at > now() + interval '10 minutes'`;

/** $1 tenant, $2 session, $3 owner, $4 milliseconds, $5 epoch. */
export const RENEW_LEASE = `
  UPDATE guildhall.session SET lease_expires_at = ${UNTIL}
  WHERE tenant_id = $1 AND session_id = $2 AND lease_owner = $3::text AND epoch = $5::int AND lease_expires_at > now()
  RETURNING epoch, lease_expires_at`;

/** $1 tenant, $2 session, $3 owner, $4 epoch. */
export const RELEASE_LEASE = `
  UPDATE guildhall.session SET lease_owner = NULL, lease_expires_at = NULL
  WHERE tenant_id = $1 AND session_id = $2 AND lease_owner = $3::text AND epoch = $4::int`;
